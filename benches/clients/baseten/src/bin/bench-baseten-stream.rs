//! A streamed chat by our async client, on tokio's current-thread runtime.

use std::sync::Arc;

use baseten::openai::{ChatRequest, Message};
use baseten::{Client, OpenAi};
use bench_job::{API_KEY, Error, MODEL_ID, QUESTION, StreamJob};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: StreamJob) -> Result<(), Error> {
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).build()?;
    let request = ChatRequest::new(&job.model, [Message::user(QUESTION)]);
    let request = request.max_tokens(job.events.into());
    let all = Barrier::new(job.streams);
    let openai = client.model(MODEL_ID)?.openai()?;
    let shared = Arc::new(Shared { job, openai, request, all });
    let mut streams = JoinSet::new();
    for _ in 0..shared.job.streams {
        streams.spawn(read(shared.clone()));
    }
    while let Some(read) = streams.join_next().await {
        read??;
    }
    shared.job.done()
}

struct Shared {
    job: StreamJob,
    openai: OpenAi,
    request: ChatRequest,
    all: Barrier,
}

async fn read(shared: Arc<Shared>) -> Result<(), Error> {
    let mut stream = shared.openai.chat_stream(&shared.request).await?;
    let (mut text, mut events) = (0, 0);
    while let Some(chunk) = stream.chunk().await? {
        text += chunk.text().len();
        events += 1;
        if Some(events) == shared.job.halfway() {
            shared.all.wait().await;
        }
    }
    shared.job.check(text)
}
