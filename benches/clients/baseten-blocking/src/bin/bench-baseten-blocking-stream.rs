//! A streamed chat by our blocking client.

use baseten_blocking::Client;
use baseten_blocking::openai::{ChatRequest, Message};
use bench_job::{API_KEY, Error, MODEL_ID, QUESTION, StreamJob};

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).build()?;
    let request = ChatRequest::new(&job.model, [Message::user(QUESTION)]);
    let request = request.max_tokens(job.events.into());
    let mut stream = client.model(MODEL_ID)?.openai()?.chat_stream(&request)?;
    let mut text = 0;
    while let Some(chunk) = stream.chunk()? {
        text += chunk.text().len();
    }
    job.check(text)
}
