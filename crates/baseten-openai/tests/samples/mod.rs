//! JSON with every member that a type has a field for: whole bodies, and each type inside them by itself.

use serde_json::{Value, json};

/// Bodies, by type.
fn whole() -> Vec<(&'static str, Value)> {
    vec![
        ("ChatRequest", chat_request()),
        ("ChatResponse", chat_response()),
        ("ChatChunk", chat_chunk()),
        ("CompletionRequest", completion_request()),
        ("CompletionResponse", completion_response()),
        (
            "EmbeddingRequest",
            json!({
                "model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "u",
            }),
        ),
        (
            "RerankRequest",
            json!({
                "query": "q", "texts": ["a"], "raw_scores": true, "return_text": true, "truncate": true,
                "truncation_direction": "Right", "model": "m",
            }),
        ),
        ("Rank", json!({"index": 1, "score": 0.5, "text": "a"})),
        (
            "ClassifyRequest",
            json!({
                "inputs": [["a"]], "raw_scores": false, "truncate": true, "truncation_direction": "Left",
                "aggregation_strategy": "max", "model": "m",
            }),
        ),
        ("Label", json!({"label": "good", "score": 0.5})),
        (
            "Entity",
            json!({"token": "t", "token_id": 1, "start": 0, "end": 1, "results": {"O": 0.5}}),
        ),
        ("ServedModel", json!({"id": "m", "object": "model", "created": 1, "owned_by": "me"})),
    ]
}

fn messages() -> Value {
    json!([
        {"role": "system", "content": "s"},
        {"role": "user", "name": "n", "content": [
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "d", "format": "wav"}},
            {"type": "file", "file": {"filename": "f", "file_data": "d", "file_id": "i"}},
            {"type": "video_url", "video_url": {"url": "v"}},
        ]},
        {"role": "assistant", "reasoning_content": "r", "reasoning": "r", "refusal": "no", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"input": "x"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ])
}

fn chat_request() -> Value {
    json!({
        "model": "m", "messages": messages(), "max_tokens": 1, "max_completion_tokens": 1,
        "temperature": 0.5, "top_p": 0.5, "n": 1, "stop": ["s"], "seed": -1, "logprobs": true,
        "top_logprobs": 2, "logit_bias": {"1": -1.5}, "frequency_penalty": 0.5,
        "presence_penalty": 0.5, "parallel_tool_calls": false, "reasoning_effort": "high",
        "response_format": {"type": "json_schema", "grammar": "g", "structural_tag": "t", "json_schema": {
            "name": "n", "description": "d", "schema": {"type": "object"}, "strict": true,
        }},
        "tools": [
            {"type": "function", "function": {
                "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true,
            }},
            {"type": "baseten__exa__web_search_exa"},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true},
        "user": "u", "top_k": 1, "min_p": 0.5, "top_p_min": 0.5, "repetition_penalty": 1.5,
        "length_penalty": 1.5, "early_stopping": true, "best_of": 1, "bad": ["b"],
        "bad_token_ids": [1], "stop_token_ids": [1], "include_stop_str_in_output": true,
        "ignore_eos": true, "min_tokens": 1, "skip_special_tokens": true,
        "spaces_between_special_tokens": true, "truncate_prompt_tokens": 1, "echo": true,
        "add_generation_prompt": true, "add_special_tokens": true, "documents": [{"text": "d"}],
        "chat_template": "t", "chat_template_args": {"enable_thinking": true},
    })
}

fn completion_request() -> Value {
    json!({
        "model": "m", "prompt": "p", "suffix": "s", "max_tokens": 1, "temperature": 0.5, "top_p": 0.5,
        "n": 1, "stop": ["s"], "seed": 1, "logprobs": 1, "frequency_penalty": 0.5,
        "presence_penalty": 0.5, "stream": false, "stream_options": {"include_usage": true},
        "user": "u", "top_k": 1, "echo": true, "best_of": 1,
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
    })
}

fn logprobs() -> Value {
    let token = json!({"token": "t", "logprob": -0.5, "bytes": [116]});
    let mut first = token.clone();
    first["top_logprobs"] = json!([token]);
    json!({"content": [first], "refusal": [token]})
}

fn chat_response() -> Value {
    json!({
        "id": "i", "object": "chat.completion", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f", "service_tier": "default",
        "choices": [{
            "index": 0, "message": messages()[2], "finish_reason": "stop", "stop_reason": "s",
            "logprobs": logprobs(),
        }, {
            "index": 1, "message": {"role": "assistant", "content": "c"}, "finish_reason": "length",
            "stop_reason": 7,
        }],
    })
}

fn chat_chunk() -> Value {
    json!({
        "id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f", "service_tier": "default",
        "choices": [{
            "index": 0, "finish_reason": "stop", "stop_reason": 7, "logprobs": logprobs(),
            "delta": {
                "role": "assistant", "content": "c", "reasoning_content": "r", "reasoning": "r",
                "refusal": "no", "tool_calls": [
                    {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}},
                ],
            },
        }],
    })
}

fn completion_response() -> Value {
    json!({
        "id": "i", "object": "text_completion", "created": 1, "model": "m", "usage": usage(),
        "system_fingerprint": "f",
        "choices": [{
            "index": 0, "text": "t", "finish_reason": "stop", "stop_reason": "s",
            "logprobs": {"tokens": ["t"]},
        }],
    })
}

/// The types inside, and where in those bodies there is one.
#[rustfmt::skip]
const INSIDE: &[(&str, &str, &str)] = &[
    ("Message", "ChatRequest", "/messages/0"),
    ("Message", "ChatRequest", "/messages/1"),
    ("Message", "ChatRequest", "/messages/2"),
    ("Message", "ChatRequest", "/messages/3"),
    ("Role", "ChatRequest", "/messages/0/role"),
    ("Content", "ChatRequest", "/messages/0/content"),
    ("Content", "ChatRequest", "/messages/1/content"),
    ("Part", "ChatRequest", "/messages/1/content/0"),
    ("Part", "ChatRequest", "/messages/1/content/1"),
    ("Part", "ChatRequest", "/messages/1/content/2"),
    ("Part", "ChatRequest", "/messages/1/content/3"),
    ("Part", "ChatRequest", "/messages/1/content/4"),
    ("ImageUrl", "ChatRequest", "/messages/1/content/1/image_url"),
    ("InputAudio", "ChatRequest", "/messages/1/content/2/input_audio"),
    ("File", "ChatRequest", "/messages/1/content/3/file"),
    ("ToolCall", "ChatRequest", "/messages/2/tool_calls/0"),
    ("ToolCall", "ChatRequest", "/messages/2/tool_calls/1"),
    ("FunctionCall", "ChatRequest", "/messages/2/tool_calls/0/function"),
    ("ReasoningEffort", "ChatRequest", "/reasoning_effort"),
    ("ResponseFormat", "ChatRequest", "/response_format"),
    ("Format", "ChatRequest", "/response_format/type"),
    ("JsonSchema", "ChatRequest", "/response_format/json_schema"),
    ("Tool", "ChatRequest", "/tools/0"),
    ("Tool", "ChatRequest", "/tools/1"),
    ("Function", "ChatRequest", "/tools/0/function"),
    ("ToolChoice", "ChatRequest", "/tool_choice"),
    ("StreamOptions", "ChatRequest", "/stream_options"),
    ("Choice", "ChatResponse", "/choices/0"),
    ("Choice", "ChatResponse", "/choices/1"),
    ("FinishReason", "ChatResponse", "/choices/0/finish_reason"),
    ("StopReason", "ChatResponse", "/choices/0/stop_reason"),
    ("StopReason", "ChatResponse", "/choices/1/stop_reason"),
    ("Logprobs", "ChatResponse", "/choices/0/logprobs"),
    ("TokenLogprob", "ChatResponse", "/choices/0/logprobs/content/0"),
    ("Usage", "ChatResponse", "/usage"),
    ("PromptTokensDetails", "ChatResponse", "/usage/prompt_tokens_details"),
    ("CompletionTokensDetails", "ChatResponse", "/usage/completion_tokens_details"),
    ("ChunkChoice", "ChatChunk", "/choices/0"),
    ("Delta", "ChatChunk", "/choices/0/delta"),
    ("ToolCallDelta", "ChatChunk", "/choices/0/delta/tool_calls/0"),
    ("FunctionDelta", "ChatChunk", "/choices/0/delta/tool_calls/0/function"),
    ("Input", "CompletionRequest", "/prompt"),
    ("Input", "EmbeddingRequest", "/input"),
    ("CompletionChoice", "CompletionResponse", "/choices/0"),
    ("EncodingFormat", "EmbeddingRequest", "/encoding_format"),
    ("Aggregation", "ClassifyRequest", "/aggregation_strategy"),
];

/// All of them.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let mut all = whole();
    for (name, body, place) in INSIDE {
        let (_, body) = all.iter().find(|(whole, _)| whole == body).unwrap();
        all.push((name, body.pointer(place).unwrap().clone()));
    }
    all.extend([
        ("ToolChoice", json!("none")),
        ("ToolChoice", json!("required")),
        ("Input", json!([1, 2])),
        ("Input", json!([[1], [2, 3]])),
    ]);
    all
}
