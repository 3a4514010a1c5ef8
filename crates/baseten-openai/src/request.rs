//! What is asked of a chat model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Content, Extra, Message, ResponseFormat, Tool, ToolCall, ToolChoice,
    extra::{extra_over_fields, merge},
    lenient,
    open_enum::open_enum,
};

/// A request to `/v1/chat/completions`.
///
/// Everything left `None` or empty is not sent, so the server's default holds; members are written in
/// the order of the fields. Model APIs reject members they do not know.
///
/// ```
/// use baseten_openai::{ChatRequest, Message};
/// use serde_json::json;
///
/// let mut request = ChatRequest::new("deepseek-ai/DeepSeek-V3.1", [Message::user("Hello!")])
///     .max_tokens(100)
///     .temperature(0.2)
///     .extra("chat_template_args", json!({"enable_thinking": true}));
/// request.engine.top_k = Some(40);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
#[non_exhaustive]
pub struct ChatRequest {
    /// The served name of the model. A dedicated engine may ignore it.
    pub model: String,
    /// The chat so far.
    pub messages: Vec<Message>,
    /// The most tokens to generate. Model APIs: up to 262 144, by default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The same under OpenAI's newer name. Baseten's own engines know `max_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u64>,
    /// 0 for the likeliest token each time, up to 4 on Model APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of probability to choose from, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// How many answers. Model APIs: only 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// Texts at which to stop. Model APIs: up to 32, of up to 1000 characters.
    #[serde(deserialize_with = "lenient::texts", skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Makes sampling repeatable, as far as the engine can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Whether to give the logarithms of probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// For how many tokens at each place: up to 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_logprobs: Option<u32>,
    /// What to add to the likelihood of tokens, by token id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<String, f64>,
    /// Makes frequent tokens less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// Makes tokens that were there less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// The form that the answer must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// What the model may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether and which of them it has to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls in one turn. Model APIs: yes by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// How much to think; which values there are depends on the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Whether the answer comes as a stream of events. See [`ChatRequest::streamed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// What a stream holds beside the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    /// Who asks, for the server's statistics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What Baseten's engines take beyond OpenAI's fields.
    #[serde(flatten)]
    pub engine: EngineOptions,
    /// Members without a field. Put over the fields when the request is written, objects member by
    /// member: what stands here wins. Set it through [`extra`](Self::extra) or
    /// [`merge`](Self::merge).
    #[serde(flatten, skip_serializing)]
    pub extra: Extra,
}

extra_over_fields!(ChatRequest);

impl ChatRequest {
    /// A request to a model, by its served name, with the chat so far.
    pub fn new(model: impl Into<String>, messages: impl Into<Vec<Message>>) -> Self {
        Self { model: model.into(), messages: messages.into(), ..Self::default() }
    }

    /// Adds a message. An answer goes back as the message it came in.
    #[must_use]
    pub fn message(mut self, message: impl Into<Message>) -> Self {
        self.messages.push(message.into());
        self
    }

    /// Goes on after an answer that wants tools called: adds it, and after it what `call` gives for
    /// each of its calls.
    #[must_use]
    pub fn answer<R: Into<Content>>(
        mut self,
        message: &Message,
        mut call: impl FnMut(&ToolCall) -> R,
    ) -> Self {
        self.messages.push(message.clone());
        let answers = message.tool_calls.iter().map(|tool_call| tool_call.answer(call(tool_call)));
        self.messages.extend(answers);
        self
    }

    /// The most tokens to generate.
    #[must_use]
    pub fn max_tokens(mut self, count: u64) -> Self {
        self.max_tokens = Some(count);
        self
    }

    /// 0 for the likeliest token each time; more for more variety.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// The share of probability to choose from, above 0 and up to 1.
    #[must_use]
    pub fn top_p(mut self, share: f64) -> Self {
        self.top_p = Some(share);
        self
    }

    /// Adds a text at which to stop.
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Makes sampling repeatable, as far as the engine can.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Adds a tool that the model may use.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Whether and which tool the model has to use.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// The form that the answer must have.
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// How much to think.
    #[must_use]
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.reasoning_effort = Some(effort);
        self
    }

    /// Sets one member of the body, known to this crate or not; it wins over the field of that name.
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Puts members over the body, objects member by member.
    #[must_use]
    pub fn merge(mut self, members: &Extra) -> Self {
        merge(&mut self.extra, members);
        self
    }

    /// The request for a stream, with the token counts in it unless `stream_options` says otherwise.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.stream = Some(true);
        self.stream_options.get_or_insert_with(StreamOptions::with_usage);
        self
    }
}

/// What a stream holds beside the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamOptions {
    /// Whether the last event tells the token counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// Whether every event tells those so far. A vLLM and Baseten extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuous_usage_stats: Option<bool>,
    /// Members without a field.
    #[serde(flatten)]
    pub extra: Extra,
}

impl StreamOptions {
    pub(crate) fn with_usage() -> Self {
        Self { include_usage: Some(true), ..Self::default() }
    }
}

open_enum! {
    /// How much to think. Each model knows some of these; a value it does not know is a 400 on some
    /// and ignored by others.
    pub enum ReasoningEffort {
        /// Not at all.
        None = "none",
        /// Hardly.
        Minimal = "minimal",
        /// A little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// A lot.
        High = "high",
        /// More.
        Xhigh = "xhigh",
        /// As much as there is room for.
        Max = "max",
    }
}

/// What Baseten's engines, and mostly vLLM and SGLang too, take beyond OpenAI's fields. `None` and
/// empty are not sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// How many tokens to choose from; -1 for all. Model APIs: 50 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<i64>,
    /// The least probability, as a share of the likeliest token's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// How low `top_p` may decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p_min: Option<f64>,
    /// Above 1 makes repetition less likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// For beams: above 1 favours long answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_penalty: Option<f64>,
    /// For beams: stop when enough are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<bool>,
    /// How many answers to choose the best of. Model APIs: only 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_of: Option<u32>,
    /// Words never to write.
    #[serde(deserialize_with = "lenient::texts", skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<String>,
    /// Tokens never to write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_token_ids: Vec<i64>,
    /// Tokens at which to stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_token_ids: Vec<i64>,
    /// Whether the answer ends with the text that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_stop_str_in_output: Option<bool>,
    /// Whether to go on after the model's own end token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_eos: Option<bool>,
    /// The fewest tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tokens: Option<u64>,
    /// Whether special tokens are left out of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_special_tokens: Option<bool>,
    /// Whether blanks are set between special tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spaces_between_special_tokens: Option<bool>,
    /// How many tokens of the prompt to keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_prompt_tokens: Option<i64>,
    /// Whether the answer begins with the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// Whether the template opens the assistant's turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_generation_prompt: Option<bool>,
    /// Whether special tokens are added on top of the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_special_tokens: Option<bool>,
    /// Texts for a template that knows retrieval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Value>,
    /// A template in place of the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Arguments of the template, such as `enable_thinking`.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    pub chat_template_args: Extra,
}
