//! What the README promises, read out of it, so that it cannot drift from what is run.

/// The line before the command that runs every test.
pub(crate) const TESTS: &str = "Run the tests:";

/// The line before the command that shows the main job done.
pub(crate) const MAIN_JOB: &str = "Run it:";

/// The line before LiteLLM's configuration.
pub(crate) const LITELLM: &str = "LiteLLM before a deployment of yours, in `litellm.yaml`:";

/// The fenced block that follows the line `marker`.
///
/// # Errors
///
/// The marker is missing, or no block follows it before other text.
pub(crate) fn block_after(readme: &str, marker: &str) -> Result<String, String> {
    let mut lines = readme.lines().map(str::trim_end);
    if !lines.any(|line| line == marker) {
        return Err(format!("README.md has no line `{marker}`"));
    }
    let fence = lines.find(|line| !line.is_empty()).unwrap_or_default();
    if !fence.starts_with("```") {
        return Err(format!("README.md: no code block follows the line `{marker}`"));
    }
    let block: Vec<&str> = lines.take_while(|line| *line != "```").collect();
    Ok(block.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_after_the_marker_is_found() {
        let readme =
            "# x\n```sh\nother\n```\nRun the tests:\n\n```sh\na \\\n  b\n```\n```\nc\n```\n";
        assert_eq!(block_after(readme, TESTS).unwrap(), "a \\\n  b");
    }

    #[test]
    fn a_missing_marker_or_block_is_an_error_not_an_empty_command() {
        for readme in
            ["", "Run the tests\n```\na\n```", "Run the tests:\nSo:\n```\na\n```", "Run the tests:"]
        {
            assert!(block_after(readme, TESTS).is_err(), "{readme:?}");
        }
    }
}
