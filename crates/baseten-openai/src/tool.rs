//! Functions that the model may call, and its calls of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{DecodeError, Extra, Message, lenient};

/// A tool that the model may use.
///
/// ```
/// use baseten_openai::Tool;
/// use serde_json::json;
///
/// let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
/// let tool = Tool::function("weather", parameters).description("The weather of a city, now");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tool {
    /// `function`, or the name of a tool that the server runs, such as
    /// `baseten__exa__web_search_exa`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Function>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Tool {
    /// A function of the caller, with the JSON schema of its arguments.
    pub fn function(name: impl Into<String>, parameters: Value) -> Self {
        let function =
            Function { name: name.into(), parameters: Some(parameters), ..Function::default() };
        Self { function: Some(function), ..Self::default() }
    }

    /// A function of the caller whose arguments are a type: its schema, in the strict dialect, and the
    /// type's documentation as the description.
    ///
    /// ```
    /// use baseten_openai::{ChatRequest, ChatResponse, Message, Tool};
    ///
    /// /// The sum of two numbers.
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Add {
    ///     a: i64,
    ///     b: i64,
    /// }
    ///
    /// # fn send(_: &ChatRequest) -> Result<ChatResponse, Box<dyn std::error::Error>> {
    /// #     Ok(ChatResponse::decode(br#"{"choices":[{"message":{"content":"3"}}]}"#)?)
    /// # }
    /// let mut request =
    ///     ChatRequest::new("acme/model", [Message::user("1 + 2?")]).tool(Tool::of::<Add>("add")?);
    /// let text = loop {
    ///     let response = send(&request)?;
    ///     let Some(message) = response.message() else { break String::new() };
    ///     if message.tool_calls.is_empty() {
    ///         break message.text().into_owned();
    ///     }
    ///     request = request.answer(message, |call| match call.arguments() {
    ///         Ok(Add { a, b }) => (a + b).to_string(),
    ///         Err(error) => error.to_string(), // the model may do better next time
    ///     });
    /// };
    /// assert_eq!(text, "3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NotStrict`](crate::NotStrict) names the place in the schema that the strict dialect cannot
    /// express.
    #[cfg(feature = "schemars")]
    pub fn of<T: schemars::JsonSchema>(name: impl Into<String>) -> Result<Self, crate::NotStrict> {
        let mut schema = crate::schema::of::<T>()?;
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut tool = Self::function(name, schema).strict();
        if let (Some(function), Some(Value::String(text))) = (&mut tool.function, description) {
            function.description = Some(text);
        }
        Ok(tool)
    }

    /// A tool that the server runs by itself.
    pub fn hosted(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Says what the function does, which is what the model decides by.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        if let Some(function) = &mut self.function {
            function.description = Some(text.into());
        }
        self
    }

    /// Asks that arguments always keep to the schema, which then must be of the strict dialect.
    #[must_use]
    pub fn strict(mut self) -> Self {
        if let Some(function) = &mut self.function {
            function.strict = Some(true);
        }
        self
    }
}

impl Default for Tool {
    fn default() -> Self {
        Self { kind: "function".into(), function: None, extra: Extra::new() }
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Function {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// Whether arguments must keep to the schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether and which tool the model has to call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// None at all.
    None,
    /// As the model likes; what servers do by default where there are tools.
    Auto,
    /// At least one.
    Required,
    /// This function.
    Function(String),
    /// Anything else, whole.
    Other(Value),
}

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => {
                json!({"type": "function", "function": {"name": name}}).serialize(serializer)
            }
            Self::Other(value) => value.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let function = value.pointer("/function/name").and_then(Value::as_str);
        Ok(match (value.as_str(), function) {
            (Some("none"), _) => Self::None,
            (Some("auto"), _) => Self::Auto,
            (Some("required"), _) => Self::Required,
            (_, Some(name)) if Self::Function(name.into()).is(&value) => {
                Self::Function(name.into())
            }
            _ => Self::Other(value),
        })
    }
}

impl ToolChoice {
    fn is(&self, value: &Value) -> bool {
        serde_json::to_value(self).is_ok_and(|own| own == *value)
    }
}

/// A call that the model wants made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ToolCall {
    /// What the result must refer to. Empty if the server gave none.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `function`, or another kind of tool.
    #[serde(rename = "type", deserialize_with = "function_unless_told")]
    pub kind: String,
    /// Which function, with which arguments.
    #[serde(
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "FunctionCall::is_empty"
    )]
    pub function: FunctionCall,
    /// Members without a field; a signature that has to be sent back, for one.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ToolCall {
    /// The arguments as a value of one's own type. No arguments at all are read as an empty object.
    ///
    /// # Errors
    /// [`DecodeError`], which keeps the start of the arguments, if they are not JSON of that type.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let text = match self.function.arguments.trim() {
            "" => "{}",
            text => text,
        };
        serde_json::from_str(text)
            .map_err(|source| DecodeError::of_json("the arguments of a tool call", text, source))
    }

    /// The message that answers this call. JSON is the usual form of a result; text is taken as well.
    pub fn answer(&self, result: impl Into<crate::Content>) -> Message {
        Message::tool(&*self.id, result)
    }
}

impl Default for ToolCall {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: "function".into(),
            function: FunctionCall::default(),
            extra: Extra::new(),
        }
    }
}

fn function_unless_told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(|| "function".into()))
}

/// A function's name and the arguments for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FunctionCall {
    /// The name of the function.
    #[serde(deserialize_with = "lenient::or_default")]
    pub name: String,
    /// The arguments as JSON text, which need not be valid: a model wrote it. A server that sends an
    /// object here is read as if it had sent its text.
    #[serde(deserialize_with = "lenient::json_text")]
    pub arguments: String,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl FunctionCall {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
