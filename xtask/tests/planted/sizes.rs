//! `cargo xtask sizes` against planted workspaces: cargo itself counts the crates.

use crate::workspace::{Planted, stderr};

#[test]
fn a_crate_at_its_ceiling_passes_and_one_above_it_fails() {
    for (others, passes) in [(17, true), (18, false)] {
        let planted = Planted::new(&format!("sizes-{others}"));
        let mut table = "[dependencies]\n".to_owned();
        for n in 0..others {
            planted.outside(&format!("other-{n}"), "");
            table += &format!("other-{n} = {{ path = '../../others/other-{n}' }}\n");
        }
        planted.package("baseten-core", &table);

        let output = planted.xtask("sizes");

        let said = stderr(&output);
        assert_eq!(output.status.success(), passes, "{others} crates: {said}");
        assert_eq!(said.contains("over the ceiling: baseten-core"), !passes, "{said}");
    }
}
