//! reqwest, the async client that most programs take, on tokio's current-thread runtime.

use bench_job::{API_KEY, Error, Input, Job, Output};
use reqwest::header::ACCEPT;

fn main() -> Result<(), Error> {
    let job = Job::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Within a task: a call right under `block_on` pays for a poll of the reactor that no server has.
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: Job) -> Result<(), Error> {
    let client = reqwest::Client::builder().tls_backend_preconfigured(job.tls()?).build()?;
    let url = job.url();
    for _ in 0..job.calls {
        let request = client.post(&url).bearer_auth(API_KEY).header(ACCEPT, "application/json");
        let response = request.json(&Input::new()).send().await?.error_for_status()?;
        response.json::<Output>().await?.check()?;
    }
    Ok(())
}
