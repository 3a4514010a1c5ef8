//! A queued run: asking for it, waiting for it, taking it back.

use std::time::Duration;

use baseten_core::{
    Answer, AsyncRequestId, Cancellation, Error, JobOutcome, JobStatus, Operation, Response, Watch,
    WatchStep,
};

use crate::deployment::Deployment;

/// A run that was queued. From [`crate::Model::submit`], [`crate::Chain::submit`], or by its id from
/// [`crate::Model::job`] and [`crate::Chain::job`]; cheap to clone.
///
/// The platform allows 20 questions about runs a second, so all of a client's are paced below that:
/// each may have to wait for its turn before it is sent, also before it is sent again, and for all of
/// that the total clock runs. Those asked here go before those of
/// [`Job::wait`]. The platform never tells a run's output: only the webhook has it.
///
/// ```no_run
/// # async fn example(model: baseten::Model) -> Result<(), baseten::Error> {
/// use baseten::{AsyncRequest, JobOutcome};
/// use std::time::Duration;
///
/// let request = AsyncRequest::new("What is a queue?").webhook("https://example.com/done");
/// let job = model.submit(&request).await?.value;
/// match job.wait(Duration::from_secs(600)).await? {
///     JobOutcome::Settled(status) => println!("{}: {:?}", status.status, status.errors),
///     JobOutcome::Pending(_) => println!("still going, as {}", job.id()),
///     _ => println!("forgotten"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Job {
    at: Deployment,
    id: AsyncRequestId,
}

impl Job {
    pub(crate) fn new(at: Deployment, id: AsyncRequestId) -> Self {
        Self { at, id }
    }

    /// The id of the run, as webhooks have it, too.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Where the run stands now.
    ///
    /// # Errors
    /// Whatever the call came to; 404 about an hour after the run has ended.
    pub async fn status(&self) -> Result<Response<JobStatus>, Error> {
        self.at.ask(&Operation::AsyncStatus(self.id.clone())).await?.json()
    }

    /// Takes the run back. That it is too late for that is no error.
    ///
    /// # Errors
    /// Whatever the call came to; 404 about an hour after the run has ended.
    pub async fn cancel(&self) -> Result<Response<Cancellation>, Error> {
        self.at.ask(&Operation::AsyncCancel(self.id.clone())).await?.json()
    }

    /// Waits until the run has ended and its output is delivered, or for `limit`. Giving up waiting
    /// does not end the run.
    ///
    /// It asks at once, then after 1 s and ever less often, up to every 30 s; where a client waits for
    /// very many runs, each is asked for less often still.
    ///
    /// # Errors
    /// What the last question came to, if it is not one to ask again (401, for one), if 20 in a row
    /// failed, or 3 before anything was known of the run, or if nothing was known of it at the limit.
    pub async fn wait(&self, limit: Duration) -> Result<JobOutcome, Error> {
        let client = &self.at.client;
        let operation = Operation::AsyncStatus(self.id.clone());
        let request = self.at.template(&operation, Answer::Json)?.empty();
        let mut watch = Watch::new(&client.pacer, &self.at.options, client.now(), limit);
        loop {
            match watch.step(client.now()) {
                WatchStep::Wait(pause) => client.pause(pause, &self.at.options).await?,
                WatchStep::Ask(options) => {
                    let answer = client.transport.fetch(&request, &options).await;
                    watch.on_answer(client.now(), answer);
                }
                WatchStep::Over(outcome) => return outcome,
            }
        }
    }
}
