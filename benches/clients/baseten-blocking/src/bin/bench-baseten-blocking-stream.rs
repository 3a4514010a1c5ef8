//! A streamed chat by our blocking client.

use baseten_blocking::Client;
use baseten_blocking::openai::{ChatRequest, Message};
use bench_job::{API_KEY, Error, MODEL_ID, QUESTION, StreamJob};

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).build()?;
    let request = ChatRequest::new(&job.model, [Message::user(QUESTION)]);
    let request = request.max_tokens(job.events.into());
    let openai = client.model(MODEL_ID)?.openai()?;
    let mut open = Vec::new();
    for _ in 0..job.streams {
        open.push((openai.chat_stream(&request)?, 0));
    }
    // All are open until the last event of the first.
    let mut more = true;
    while more {
        more = false;
        for (stream, text) in &mut open {
            if let Some(chunk) = stream.chunk()? {
                *text += chunk.text().len();
                more = true;
            }
        }
    }
    open.iter().try_for_each(|(_, text)| job.check(*text))?;
    job.done()
}
