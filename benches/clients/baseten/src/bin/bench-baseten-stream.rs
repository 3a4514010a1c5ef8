//! A streamed chat by our async client, on tokio's current-thread runtime.

use baseten::Client;
use baseten::openai::{ChatRequest, Message};
use bench_job::{API_KEY, Error, MODEL_ID, QUESTION, StreamJob};

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: StreamJob) -> Result<(), Error> {
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).build()?;
    let request = ChatRequest::new(&job.model, [Message::user(QUESTION)]);
    let request = request.max_tokens(job.events.into());
    let openai = client.model(MODEL_ID)?.openai()?;
    let mut open = Vec::new();
    for _ in 0..job.streams {
        open.push((openai.chat_stream(&request).await?, 0));
    }
    // All are open until the last event of the first.
    let mut more = true;
    while more {
        more = false;
        for (stream, text) in &mut open {
            if let Some(chunk) = stream.chunk().await? {
                *text += chunk.text().len();
                more = true;
            }
        }
    }
    open.iter().try_for_each(|(_, text)| job.check(*text))
}
