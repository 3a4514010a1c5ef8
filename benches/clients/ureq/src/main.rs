//! ureq, the blocking client that most programs take.

use std::sync::Arc;

use bench_job::{API_KEY, Error, Input, Job, Output};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn main() -> Result<(), Error> {
    let job = Job::from_args()?;
    let certificates: Vec<_> =
        job.certificates()?.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).build().new_agent();
    let (url, key) = (job.url(), format!("Bearer {API_KEY}"));
    for _ in 0..job.calls {
        agent
            .post(&url)
            .header("authorization", &key)
            .header("accept", "application/json")
            .send_json(Input::new())?
            .body_mut()
            .read_json::<Output>()?
            .check()?;
    }
    Ok(())
}
