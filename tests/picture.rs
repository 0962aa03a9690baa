//! The picture of eight coloured windows in the README, drawn from the very settings that an editor
//! gets. `SNAPSHOTS=overwrite cargo test` draws it anew.

use std::fmt::Write;

use sporekit::theme::Scheme;

const WIDTH: usize = 264;
const HEIGHT: usize = 168;

/// One window with its upper left corner at `(x, y)`.
fn window(svg: &mut String, slot: u32, task: &str, (x, y): (usize, usize)) {
    let agent = format!("kiro-{slot}");
    let scheme = Scheme::of_slot(slot);
    let file = scheme.workspace_file(
        &format!("/src/app.swarm/wt/{agent}"),
        &agent,
        &[task.to_owned()],
    );
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let settings = &file["settings"];
    let colour = |key: &str| {
        settings["workbench.colorCustomizations"][key]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let title = settings["window.title"].as_str().unwrap();
    let title = title.replace("${activeEditorShort}", "lib.rs");
    let (w, h) = (WIDTH, HEIGHT);
    writeln!(
        svg,
        r#"<g transform="translate({x} {y})" clip-path="url(#corner)">"#
    )
    .unwrap();
    let mut rect = |x: usize, y: usize, w: usize, h: usize, fill: &str| {
        writeln!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"/>"#
        )
        .unwrap();
    };
    rect(0, 0, w, h, "#1e1e1e");
    rect(0, 0, w, 24, &colour("titleBar.activeBackground"));
    rect(0, 24, 26, h - 42, &colour("activityBar.background"));
    for (n, ink) in [
        (0, "activityBar.foreground"),
        (1, "activityBar.inactiveForeground"),
        (2, "activityBar.inactiveForeground"),
    ] {
        rect(8, 34 + 24 * n, 10, 10, &colour(ink));
    }
    rect(14, 30 + 24, 8, 8, &colour("activityBarBadge.background"));
    // Lines of a file, of no text in particular.
    for (n, (indent, length)) in [
        (0, 90),
        (1, 130),
        (1, 70),
        (2, 110),
        (2, 60),
        (1, 24),
        (0, 12),
    ]
    .into_iter()
    .enumerate()
    {
        let ink = ["#569cd6", "#9cdcfe", "#ce9178", "#d4d4d4"][(n + slot as usize) % 4];
        rect(40 + indent * 14, 36 + n * 15, length, 5, ink);
    }
    rect(0, h - 18, w, 18, &colour("statusBar.background"));
    let mut text = |x: usize, y: usize, ink: &str, words: &str| {
        let ink = colour(ink);
        writeln!(svg, r#"<text x="{x}" y="{y}" fill="{ink}">{words}</text>"#).unwrap();
    };
    text(10, 16, "titleBar.activeForeground", &title);
    text(10, h - 5, "statusBar.foreground", &format!("swarm/{agent}"));
    writeln!(svg, "</g>").unwrap();
}

#[test]
fn the_picture_of_eight_windows_is_fresh() {
    let (w, h) = (4 * (WIDTH + 12) + 12, 2 * (HEIGHT + 12) + 12);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif" font-size="11" role="img">
<title>Eight editor windows, each in the colour of its agent, with the colour's name and number in its title</title>
<clipPath id="corner"><rect width="{WIDTH}" height="{HEIGHT}" rx="6"/></clipPath>
<rect width="{w}" height="{h}" fill="#8a8f98"/>
"##
    );
    for slot in 1..=8_u32 {
        let place = slot as usize - 1;
        let at = (
            12 + place % 4 * (WIDTH + 12),
            12 + place / 4 * (HEIGHT + 12),
        );
        window(
            &mut svg,
            slot,
            &format!("{}.{}", place / 4 + 1, place % 4 + 1),
            at,
        );
    }
    svg.push_str("</svg>\n");
    crate::documents::fresh("examples/windows.svg", svg.as_bytes());
}
