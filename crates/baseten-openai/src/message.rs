//! A message of a chat: what is sent and what comes back are one type, so that an answer goes back
//! into the history as it is, with its tool calls, its reasoning and members nobody here knows.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Extra, ToolCall, lenient, open_enum::open_enum};

/// One turn of a chat.
///
/// ```
/// use baseten_openai::{Message, Part};
///
/// let history = [
///     Message::system("Be brief."),
///     Message::user([Part::text("What is this?"), Part::image_url("https://example.com/cat.png")]),
/// ];
/// assert_eq!(history[1].text(), "What is this?");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks. An answer without a role is the assistant's.
    #[serde(deserialize_with = "lenient::or_default")]
    pub role: Role,
    /// What is said. `None` where there are only tool calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Tells speakers of one role apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Thinking, as Baseten's Model APIs, SGLang and DeepSeek spell it. See [`Message::reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// Thinking, as vLLM and OpenRouter spell it. See [`Message::reasoning`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the model would not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The functions that the assistant wants called.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a message of the role `tool` answers.
    #[serde(deserialize_with = "lenient::optional_text", skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Message {
    /// A message of any role.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self { role, content: Some(content.into()), ..Self::default() }
    }

    /// Instructions to the model.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// The user's turn: text, or parts.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// The assistant's turn. An answer of the model is better sent back as the message it came in.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The result of the tool call with this id.
    pub fn tool(call_id: impl Into<String>, result: impl Into<Content>) -> Self {
        Self { tool_call_id: Some(call_id.into()), ..Self::new(Role::Tool, result) }
    }

    /// The text of the content; of parts, the texts one after the other. Empty if there is none.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map_or(Cow::Borrowed(""), Content::text)
    }

    /// The model's thinking under whichever name the server gave it. Empty text counts as none.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        one_of(&self.reasoning_content, &self.reasoning)
    }
}

/// The first of two spellings that says something.
pub(crate) fn one_of<'a>(first: &'a Option<String>, second: &'a Option<String>) -> Option<&'a str> {
    [first, second].into_iter().filter_map(Option::as_deref).find(|text| !text.is_empty())
}

open_enum! {
    /// Who speaks.
    #[derive(Default)]
    pub enum Role {
        /// Instructions.
        System = "system",
        /// Instructions, as newer OpenAI models call them.
        Developer = "developer",
        /// The person or program that asks.
        User = "user",
        /// The model.
        #[default]
        Assistant = "assistant",
        /// The result of a tool call.
        Tool = "tool",
    }
}

/// Text, or parts of several kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text, images, audio, files.
    Parts(Vec<Part>),
}

impl Content {
    /// The text; of parts, the texts one after the other.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => {
                let texts = parts.iter().filter_map(|part| match part {
                    Part::Text { text, .. } => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<String>().into()
            }
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<Part>> for Content {
    fn from(parts: Vec<Part>) -> Self {
        Self::Parts(parts)
    }
}

impl<const N: usize> From<[Part; N]> for Content {
    fn from(parts: [Part; N]) -> Self {
        Self::Parts(parts.into())
    }
}

/// A part of a message. Which kinds a model takes is its own affair: Model APIs answer an image for a
/// text model with a 400.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Text.
    #[non_exhaustive]
    Text {
        /// The text.
        text: String,
        /// Members without a field.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A picture.
    #[non_exhaustive]
    ImageUrl {
        /// Where it is, or itself as a `data:` URL.
        image_url: ImageUrl,
        /// Members without a field.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Sound.
    #[non_exhaustive]
    InputAudio {
        /// The sound itself.
        input_audio: InputAudio,
        /// Members without a field.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A file.
    #[non_exhaustive]
    File {
        /// The file itself, or the id of one that the server has.
        file: File,
        /// Members without a field.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Any other kind, whole.
    #[serde(untagged)]
    Other(Value),
}

impl Part {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), extra: Extra::new() }
    }

    /// A picture that the server fetches.
    pub fn image_url(url: impl Into<String>) -> Self {
        let image_url = ImageUrl { url: url.into(), ..ImageUrl::default() };
        Self::ImageUrl { image_url, extra: Extra::new() }
    }

    /// A picture sent along, with its media type, such as `image/png`.
    #[must_use]
    pub fn image(media_type: &str, bytes: &[u8]) -> Self {
        Self::image_url(data_url(media_type, bytes))
    }

    /// Sound sent along, with its format: `wav` or `mp3`.
    pub fn audio(format: impl Into<String>, bytes: &[u8]) -> Self {
        let input_audio = InputAudio {
            data: STANDARD.encode(bytes),
            format: format.into(),
            ..InputAudio::default()
        };
        Self::InputAudio { input_audio, extra: Extra::new() }
    }

    /// A file sent along, with its name and its media type, such as `application/pdf`.
    pub fn file(name: impl Into<String>, media_type: &str, bytes: &[u8]) -> Self {
        let file = File {
            filename: Some(name.into()),
            file_data: Some(data_url(media_type, bytes)),
            ..File::default()
        };
        Self::File { file, extra: Extra::new() }
    }

    /// A file that the server has, by its id.
    pub fn file_id(id: impl Into<String>) -> Self {
        let file = File { file_id: Some(id.into()), ..File::default() };
        Self::File { file, extra: Extra::new() }
    }

    /// How closely to look at a picture: `auto`, `low` or `high`. Says nothing of other parts.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        if let Self::ImageUrl { image_url, .. } = &mut self {
            image_url.detail = Some(detail.into());
        }
        self
    }
}

fn data_url(media_type: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{media_type};base64,");
    STANDARD.encode_string(bytes, &mut url);
    url
}

/// A picture, by address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageUrl {
    /// `https:` or `data:`.
    pub url: String,
    /// How closely to look: `auto`, `low` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Sound, in base64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct InputAudio {
    /// The bytes in base64.
    pub data: String,
    /// `wav` or `mp3`.
    pub format: String,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A file, in a `data:` URL or by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct File {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its bytes as a `data:` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_data: Option<String>,
    /// The id of a file that the server has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}
