//! Our async client, on tokio's current-thread runtime.

use baseten::{Client, Tls};
use bench_job::{API_KEY, Error, Input, Job, MODEL_ID, Output};

fn main() -> Result<(), Error> {
    let job = Job::from_args()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Within a task: a call right under `block_on` pays for a poll of the reactor that no server has.
    runtime.block_on(runtime.spawn(run(job)))?
}

async fn run(job: Job) -> Result<(), Error> {
    let tls = Tls::from_config(job.tls()?.into());
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).tls(tls).build()?;
    let model = client.model(MODEL_ID)?;
    for _ in 0..job.calls {
        model.predict::<_, Output>(&Input::new()).await?.value.check()?;
    }
    Ok(())
}
