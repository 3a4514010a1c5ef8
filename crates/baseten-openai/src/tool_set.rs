//! Functions for the model, and the chat in which it calls them: asked, answered, asked again.
//!
//! State only. Who holds a [`ToolRun`] sends its request and gives it the answer; nothing here sends.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{ChatRequest, ChatResponse, DecodeError, Tool, ToolCall, ToolChoice};

/// Functions that the model may call, each with what to do when it does.
///
/// Arguments come as a type of one's own. What the function gives goes to the model: text as it is,
/// anything else as JSON. It runs where the answer is read, on the thread or in the task of the caller;
/// tools that have to wait inside a future are written as a loop over [`ChatRequest::answer`].
///
/// ```
/// use baseten_openai::{ChatRequest, ChatResponse, Message, ToolEnd, ToolSet};
///
/// /// The sum of two numbers.
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Add {
///     a: i64,
///     b: i64,
/// }
///
/// # fn send(request: &ChatRequest) -> Result<ChatResponse, Box<dyn std::error::Error>> {
/// #     let call = br#"{"choices":[{"message":{"tool_calls":[{"id":"c1","function":{"name":"add","arguments":"{\"a\":1,\"b\":2}"}}]}}]}"#;
/// #     let answer = br#"{"choices":[{"message":{"content":"It is 3."}}]}"#;
/// #     Ok(ChatResponse::decode(if request.messages.len() == 1 { call } else { answer })?)
/// # }
/// # #[cfg(feature = "schemars")] {
/// let tools = ToolSet::new().function("add", |Add { a, b }| a.checked_add(b).ok_or("too large"))?;
/// let mut run = tools.run(ChatRequest::new("acme/model", [Message::user("1 + 2?")]));
/// let answer = loop {
///     let response = send(run.request())?; // with a facade: `openai.run_tools(&mut run)` for it all
///     if !run.advance(&response) {
///         break response;
///     }
/// };
/// assert_eq!((answer.text().as_ref(), run.end()), ("It is 3.", Some(ToolEnd::Answered)));
/// assert_eq!(run.called()[0].outcome.as_deref().ok(), Some("3"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ToolSet<'a> {
    tools: Vec<Entry<'a>>,
    rounds: u32,
    stop_at_faults: bool,
}

struct Entry<'a> {
    tool: Tool,
    call: Box<Handler<'a>>,
}

type Handler<'a> = dyn FnMut(&ToolCall) -> Result<String, ToolFault> + Send + 'a;

/// How often tools are called and the model is asked again, unless [`ToolSet::rounds`] says otherwise.
const ROUNDS: u32 = 8;

impl<'a> ToolSet<'a> {
    /// No functions yet, at most 8 rounds.
    #[must_use]
    pub fn new() -> Self {
        Self { tools: Vec::new(), rounds: ROUNDS, stop_at_faults: false }
    }

    /// Adds a function of a type: [`Tool::of`] makes the schema of its arguments.
    ///
    /// # Errors
    /// As [`Tool::of`].
    #[cfg(feature = "schemars")]
    pub fn function<A, R, E>(
        self,
        name: &str,
        call: impl FnMut(A) -> Result<R, E> + Send + 'a,
    ) -> Result<Self, crate::NotStrict>
    where
        A: DeserializeOwned + schemars::JsonSchema,
        R: Serialize,
        E: fmt::Display,
    {
        Ok(self.tool(Tool::of::<A>(name)?, call))
    }

    /// Adds a function with a schema of one's own. One of the same name is replaced.
    #[must_use]
    pub fn tool<A, R, E>(
        mut self,
        tool: Tool,
        mut call: impl FnMut(A) -> Result<R, E> + Send + 'a,
    ) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        E: fmt::Display,
    {
        let call = Box::new(move |made: &ToolCall| {
            let arguments = made.arguments().map_err(ToolFault::Arguments)?;
            call(arguments).map_err(|error| ToolFault::Failed(error.to_string())).and_then(written)
        });
        self.tools.retain(|entry| name(&entry.tool) != name(&tool));
        self.tools.push(Entry { tool, call });
        self
    }

    /// How often at most tools are called and the model is asked again; 0 calls none.
    #[must_use]
    pub fn rounds(mut self, most: u32) -> Self {
        self.rounds = most;
        self
    }

    /// Ends the run at a [`ToolFault`] instead of telling the model of it, who may do better then.
    #[must_use]
    pub fn stop_at_faults(mut self) -> Self {
        self.stop_at_faults = true;
        self
    }

    /// Begins a chat in which the model may call these, beside the tools that the request has.
    #[must_use]
    pub fn run(self, mut request: ChatRequest) -> ToolRun<'a> {
        request.tools.extend(self.tools.iter().map(|entry| entry.tool.clone()));
        ToolRun { request, rounds: self.rounds, tools: self, called: Vec::new(), end: None }
    }

    fn call(&mut self, made: &ToolCall) -> Result<String, ToolFault> {
        let named = |entry: &&mut Entry<'_>| name(&entry.tool) == Some(&*made.function.name);
        match self.tools.iter_mut().find(named) {
            Some(entry) => (entry.call)(made),
            None => Err(ToolFault::Unknown),
        }
    }
}

impl Default for ToolSet<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ToolSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.tools.iter().filter_map(|entry| name(&entry.tool));
        f.debug_list().entries(names).finish()
    }
}

fn name(tool: &Tool) -> Option<&str> {
    tool.function.as_ref().map(|function| &*function.name)
}

/// A result as the model reads it.
fn written(result: impl Serialize) -> Result<String, ToolFault> {
    match serde_json::to_value(result) {
        Ok(Value::String(text)) => Ok(text),
        Ok(value) => Ok(value.to_string()),
        Err(error) => Err(ToolFault::Failed(error.to_string())),
    }
}

/// A chat in which the model may call tools: messages in, calls out.
///
/// It survives an error of the call: what was called stays in [`called`](Self::called), its results in
/// the [`request`](Self::request), so the run can be taken up where it was.
#[derive(Debug)]
pub struct ToolRun<'a> {
    request: ChatRequest,
    tools: ToolSet<'a>,
    /// How many are left.
    rounds: u32,
    called: Vec<Called>,
    end: Option<ToolEnd>,
}

/// A call that the model made, and what came of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Called {
    /// The call, its arguments as the model wrote them.
    pub call: ToolCall,
    /// The text that the function gave.
    pub outcome: Result<String, ToolFault>,
}

/// Why a call has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolFault {
    /// There is no function of that name.
    Unknown,
    /// The arguments are not what the function takes; the error keeps the start of them.
    Arguments(DecodeError),
    /// The function failed, and said why.
    Failed(String),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolEnd {
    /// The model wants no tools called: its answer stands.
    Answered,
    /// The model wants more calls than [`ToolSet::rounds`] allows; those of its last answer were not
    /// made.
    OutOfRounds,
    /// A call has no result and [`ToolSet::stop_at_faults`] was asked for: it is the last of
    /// [`ToolRun::called`].
    Fault,
}

impl ToolRun<'_> {
    /// What is to be sent: the chat so far, with the results of all calls.
    #[must_use]
    pub fn request(&self) -> &ChatRequest {
        &self.request
    }

    /// Takes an answer and makes the calls in it; `true` if the request is to be sent again.
    ///
    /// A `tool_choice` that forces calls holds for the first answer only: it would force them forever.
    pub fn advance(&mut self, response: &ChatResponse) -> bool {
        self.end = self.take(response);
        self.end.is_none()
    }

    /// How it ended; `None` while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<ToolEnd> {
        self.end
    }

    /// All calls so far, in the order they were made.
    #[must_use]
    pub fn called(&self) -> &[Called] {
        &self.called
    }

    fn take(&mut self, response: &ChatResponse) -> Option<ToolEnd> {
        let Some(message) = response.message() else { return Some(ToolEnd::Answered) };
        if message.tool_calls.is_empty() {
            self.request.messages.push(message.clone());
            return Some(ToolEnd::Answered);
        }
        let Some(left) = self.rounds.checked_sub(1) else { return Some(ToolEnd::OutOfRounds) };
        self.rounds = left;
        let mut results = Vec::with_capacity(message.tool_calls.len());
        for call in &message.tool_calls {
            let outcome = self.tools.call(call);
            let failed = outcome.is_err();
            results.push(call.answer(match &outcome {
                Ok(text) => text.clone(),
                Err(fault) => fault.to_string(),
            }));
            self.called.push(Called { call: call.clone(), outcome });
            if failed && self.tools.stop_at_faults {
                return Some(ToolEnd::Fault);
            }
        }
        self.request.messages.push(message.clone());
        self.request.messages.append(&mut results);
        if let Some(ToolChoice::Required | ToolChoice::Function(_)) = self.request.tool_choice {
            self.request.tool_choice = None;
        }
        None
    }
}

/// As the model is told.
impl fmt::Display for ToolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("error: there is no function of this name"),
            Self::Arguments(error) => {
                write!(f, "error: {error}")?;
                std::error::Error::source(error).map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Failed(why) => write!(f, "error: {why}"),
        }
    }
}

impl std::error::Error for ToolFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arguments(error) => Some(error),
            Self::Unknown | Self::Failed(_) => None,
        }
    }
}
