//! Our blocking client.

use baseten_blocking::{Client, Tls};
use bench_job::{API_KEY, Error, Input, Job, MODEL_ID, Output};

fn main() -> Result<(), Error> {
    let job = Job::from_args()?;
    let tls = Tls::from_config(job.tls()?.into());
    let client = Client::builder().api_key(API_KEY).base_url(&job.base_url).tls(tls).build()?;
    let model = client.model(MODEL_ID)?;
    for _ in 0..job.calls {
        model.predict::<_, Output>(&Input::new())?.value.check()?;
    }
    Ok(())
}
