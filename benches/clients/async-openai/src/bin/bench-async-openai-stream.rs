//! A streamed chat by async-openai, on tokio's current-thread runtime.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::chat::CreateChatCompletionRequest;
use bench_job::{API_KEY, CHAT_PATH, Error, StreamJob};
use futures_util::StreamExt;

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: StreamJob) -> Result<(), Error> {
    let base = format!("{}{}", job.base_url, CHAT_PATH.trim_end_matches("/chat/completions"));
    let client = Client::with_config(OpenAIConfig::new().with_api_key(API_KEY).with_api_base(base));
    let request: CreateChatCompletionRequest =
        serde_json::from_value(serde_json::to_value(job.question())?)?;
    let mut stream = client.chat().create_stream(request).await?;
    let mut text = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let choice = chunk.choices.first();
        text += choice.and_then(|choice| choice.delta.content.as_deref()).map_or(0, str::len);
    }
    job.check(text)
}
