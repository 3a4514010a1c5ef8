//! Many runs, queued one after the other as fast as they are taken.

use std::fmt;
use std::time::Duration;

use baseten_core::{AsyncRequest, Error, Pressure, Response};
use serde::Serialize;

use crate::deployment::Deployment;
use crate::job::Job;

/// A line of runs to be queued, from [`crate::Model::submit_all`] or [`crate::Chain::submit_all`].
///
/// Each is made when it is asked for, so that a source of any length is never held in memory. Where the
/// platform refuses one (429, no capacity), the line stops and offers it again. One after the other
/// means one round trip each: for more a second, run several lines at once.
///
/// ```no_run
/// # fn example(model: baseten_blocking::Model) -> Result<(), baseten_blocking::Error> {
/// use baseten_blocking::AsyncRequest;
/// use std::time::Duration;
///
/// let prompts = (0..10_000).map(|n| AsyncRequest::new(n).webhook("https://example.com/done"));
/// let mut line = model.submit_all(prompts, Duration::from_secs(600));
/// while let Some(job) = line.job() {
///     println!("{}", job?.value.id());
/// }
/// # Ok(()) }
/// ```
#[must_use = "nothing is queued until it is asked for"]
pub struct Submissions<R> {
    at: Deployment,
    requests: R,
    pressure: Pressure,
}

impl<R> Submissions<R> {
    pub(crate) fn new(at: &Deployment, requests: R, patience: Duration) -> Self {
        let pressure = Pressure::new(&at.client.pacer, patience);
        Self { at: at.clone(), requests, pressure }
    }

    /// Queues the next run; `None` after the last. An error is that of one run: the line goes on with
    /// the one after it. Giving up waiting gives up that run, which may have been queued.
    pub fn job<I>(&mut self) -> Option<Result<Response<Job>, Error>>
    where
        R: Iterator<Item = AsyncRequest<I>>,
        I: Serialize,
    {
        let request = self.requests.next()?;
        loop {
            let error = match self.at.submit(&request) {
                Ok(job) => {
                    self.pressure.on_taken();
                    return Some(Ok(job));
                }
                Err(error) => error,
            };
            match self.pressure.on_error(self.at.client.now(), &error) {
                Some(pause) => {
                    // Whoever gave up is told so by the next try.
                    let _ = self.at.client.pause(pause, &self.at.options);
                }
                None => return Some(Err(error)),
            }
        }
    }
}

impl<R> fmt::Debug for Submissions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submissions")
            .field("at", &self.at)
            .field("pressure", &self.pressure)
            .finish_non_exhaustive()
    }
}
