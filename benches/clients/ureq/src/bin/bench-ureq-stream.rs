//! A streamed chat by ureq: lines of its body, then `serde_json` into owned structs.

use std::io::{BufRead, BufReader};

use bench_job::{API_KEY, CHAT_PATH, Chunk, Error, StreamJob};

fn main() -> Result<(), Error> {
    let job = StreamJob::from_args()?;
    let mut response = ureq::post(format!("{}{CHAT_PATH}", job.base_url))
        .header("authorization", format!("Bearer {API_KEY}"))
        .header("accept", "text/event-stream")
        .header("content-type", "application/json")
        .send(&serde_json::to_vec(&job.question())?[..])?;
    let mut body = BufReader::new(response.body_mut().as_reader());
    let (mut line, mut text) = (String::new(), 0);
    while body.read_line(&mut line)? > 0 {
        match line.trim_end().strip_prefix("data: ") {
            Some("[DONE]") => return job.check(text),
            Some(data) => text += serde_json::from_str::<Chunk>(data)?.text(),
            None => {}
        }
        line.clear();
    }
    Err("the stream broke off".into())
}
