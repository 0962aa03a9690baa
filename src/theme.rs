//! Colours that people can tell apart, and what an editor needs to wear them.
//!
//! **For**: a person with several windows open who wants to know at a glance which agent is which.
//! A worktree has a slot number; the slot gives a colour name, the colours of the window in the
//! form that VS Code, Kiro and Cursor read and the Peacock extension (4.3) accepts as its own, the
//! title of a terminal, and the record of the colour log.
//!
//! **Promises**: slots 1 to 10 have one colour each, of ten that stay apart under the three common
//! kinds of colour blindness (smallest distance 10.5 in OKLab x 100, where 2 is just visible); slots
//! 11 to 100 an ordered pair of them, so that any two differ clearly in at least one bar. Text on
//! each bar has a contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3). Word and number always stand
//! beside the colour: colour is never the only sign.
//!
//! **Does not**: write files, or look at what an editor has open.

use std::fmt;

use serde_json::{Map, Value, json};

/// A colour as red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// A colour of the palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    /// The basic word that people use for it.
    pub name: &'static str,
    /// What is shown.
    pub rgb: Rgb,
}

/// Ten colours with names that everybody knows, chosen so that the two nearest of them are as far
/// apart as possible in the worst of normal, protanopic, deuteranopic and tritanopic sight
/// (Machado, Oliveira, Fernandes 2009).
pub const PALETTE: [Colour; 10] = [
    colour("red", 0x93, 0x2a, 0x37),
    colour("orange", 0xe1, 0x6c, 0x10),
    colour("yellow", 0xf4, 0xf9, 0x62),
    colour("green", 0x72, 0xd1, 0x7b),
    colour("teal", 0x62, 0x9a, 0xa0),
    colour("blue", 0x04, 0x38, 0xdd),
    colour("purple", 0x5e, 0x12, 0x8a),
    colour("pink", 0xf6, 0xbd, 0xe2),
    colour("brown", 0x4d, 0x1d, 0x05),
    colour("navy", 0x11, 0x09, 0x50),
];

const fn colour(name: &'static str, r: u8, g: u8, b: u8) -> Colour {
    Colour {
        name,
        rgb: Rgb(r, g, b),
    }
}

/// What one slot wears: a colour for title and status bar, one for the activity bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// The slot, from 1.
    pub slot: u32,
    /// Title and status bar.
    pub main: Colour,
    /// Activity bar; the same as `main` for slots 1 to 10.
    pub side: Colour,
}

impl Scheme {
    /// The scheme of a slot. Beyond 100 the schemes come round again; the number tells them apart.
    pub fn of_slot(slot: u32) -> Scheme {
        let place = slot.max(1) as usize - 1;
        let n = PALETTE.len();
        let place = place % (n * n);
        let (main, side) = if place < n {
            (place, place)
        } else {
            // The ordered pairs of two different colours, first by distance round the table, so
            // that neighbouring slots have different main colours.
            let pair = place - n;
            (pair % n, (pair % n + pair / n + 1) % n)
        };
        Scheme {
            slot: slot.max(1),
            main: PALETTE[main],
            side: PALETTE[side],
        }
    }

    /// `red`, or `red-teal` for a pair.
    pub fn name(&self) -> String {
        if self.main == self.side {
            self.main.name.to_owned()
        } else {
            format!("{}-{}", self.main.name, self.side.name)
        }
    }

    /// Word and number: `red 1`, `red-teal 14`.
    pub fn label(&self) -> String {
        format!("{} {}", self.name(), self.slot)
    }

    /// The accent that Peacock would derive: the activity bar's badge.
    pub fn accent(&self) -> Rgb {
        accent(lighten(self.side.rgb, 10.0))
    }

    /// The settings of a window in these colours, keys in order: every colour that Peacock 4.3
    /// writes by default, its own settings so that it neither deletes nor repaints them at start,
    /// and a title with the word, the number and the agent's name.
    pub fn settings(&self, agent: &str, tasks: &[String]) -> Value {
        let colours = self.bars();
        let managed: Vec<&str> = colours.iter().map(|(key, _)| key.as_str()).collect();
        let mut title = format!("{} · {agent} · ${{activeEditorShort}}", self.label());
        if !tasks.is_empty() {
            title.push_str(&format!(" · {}", tasks.join(", ")));
        }
        json!({
            "peacock.color": self.main.rgb.to_string(),
            "peacock.excludedSettings": managed,
            "peacock.remoteColor": self.main.rgb.to_string(),
            "window.title": title,
            "workbench.colorCustomizations": colours,
        })
    }

    /// The text of a `.code-workspace` file that opens `folder` (an absolute path) in these colours.
    ///
    /// Such a file stands outside the worktree, so `git status` stays clean, and a tracked
    /// `.vscode/settings.json` cannot win: window settings are not taken from folders.
    pub fn workspace_file(&self, folder: &str, agent: &str, tasks: &[String]) -> String {
        let file = json!({
            "folders": [{ "path": folder, "name": agent }],
            "settings": self.settings(agent, tasks),
        });
        let mut text = serde_json::to_string_pretty(&file).expect("a value has no failing part");
        text.push('\n');
        text
    }

    /// The title of a terminal: word, number, agent.
    pub fn title(&self, agent: &str) -> String {
        format!("{} · {agent}", self.label())
    }

    /// What a terminal understands as "set the title" (xterm control sequences, OSC 2).
    pub fn title_sequence(&self, agent: &str) -> String {
        format!("\x1b]2;{}\x07", self.title(agent))
    }

    /// The line of the colour log that says who wears this from now on.
    pub fn log_record(&self, worn: &Worn<'_>) -> String {
        let record = json!({
            "v": 1, "type": "colour", "ts": worn.time, "slot": self.slot, "colour": self.name(),
            "hex": self.main.rgb.to_string(), "agent": worn.agent, "worktree": worn.worktree,
            "branch": worn.branch, "tasks": worn.tasks,
        });
        format!("{record}\n")
    }

    /// Every colour key with its value, sorted.
    fn bars(&self) -> Map<String, Value> {
        let base = self.main.rgb;
        let side = lighten(self.side.rgb, 10.0);
        let (on_base, on_side) = (foreground(base), foreground(side));
        let badge = accent(side);
        let hover = if is_light(base) { -10.0 } else { 10.0 };
        let faint = |colour: Rgb| format!("{colour}99");
        let mut rows: Vec<(&str, String)> = vec![
            ("activityBar.activeBackground", side.to_string()),
            ("activityBar.background", side.to_string()),
            ("activityBar.foreground", on_side.to_string()),
            ("activityBar.inactiveForeground", faint(on_side)),
            ("activityBarBadge.background", badge.to_string()),
            ("activityBarBadge.foreground", foreground(badge).to_string()),
            ("activityBarTop.activeBackground", side.to_string()),
            ("activityBarTop.background", side.to_string()),
            ("activityBarTop.foreground", on_side.to_string()),
            ("activityBarTop.inactiveForeground", faint(on_side)),
            ("commandCenter.border", faint(on_base)),
            ("commandCenter.foreground", on_base.to_string()),
            ("sash.hoverBorder", side.to_string()),
            ("statusBar.background", base.to_string()),
            ("statusBar.debuggingBackground", base.to_string()),
            ("statusBar.debuggingForeground", on_base.to_string()),
            ("statusBar.foreground", on_base.to_string()),
            (
                "statusBarItem.hoverBackground",
                lighten(base, hover).to_string(),
            ),
            ("statusBarItem.remoteBackground", accent(base).to_string()),
            ("statusBarItem.remoteForeground", on_base.to_string()),
            ("titleBar.activeBackground", base.to_string()),
            ("titleBar.activeForeground", on_base.to_string()),
            ("titleBar.inactiveBackground", faint(base)),
            ("titleBar.inactiveForeground", faint(on_base)),
        ];
        rows.sort_unstable();
        rows.into_iter()
            .map(|(key, value)| (key.to_owned(), Value::String(value)))
            .collect()
    }
}

/// Who wears a scheme: the facts of one line of the colour log.
#[derive(Debug, Clone, Copy)]
pub struct Worn<'a> {
    /// When, RFC 3339 in UTC.
    pub time: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// Its worktree's path; none when the slot was given back.
    pub worktree: Option<&'a str>,
    /// Its branch.
    pub branch: &'a str,
    /// The tasks it was given.
    pub tasks: &'a [String],
}

/// Peacock's text colour: dark on light, light on dark, by the brightness of W3C AERT 2.2.
pub fn foreground(background: Rgb) -> Rgb {
    if is_light(background) {
        Rgb(0x15, 0x20, 0x2b)
    } else {
        Rgb(0xe7, 0xe7, 0xe7)
    }
}

fn is_light(Rgb(r, g, b): Rgb) -> bool {
    299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) >= 128_000
}

/// The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
pub fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(Rgb(r, g, b): Rgb) -> f64 {
    let linear = |channel: u8| {
        let c = f64::from(channel) / 255.0;
        if c <= 0.03928 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// Hue in degrees, saturation and lightness from 0 to 1.
#[derive(Clone, Copy)]
struct Hsl(f64, f64, f64);

fn hsl(Rgb(r, g, b): Rgb) -> Hsl {
    let [r, g, b] = [r, g, b].map(|c| f64::from(c) / 255.0);
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let (l, d) = (f64::midpoint(max, min), max - min);
    if d == 0.0 {
        return Hsl(0.0, 0.0, l);
    }
    let s = if l > 0.5 {
        d / (2.0 - max - min)
    } else {
        d / (max + min)
    };
    let h = if max == r {
        (g - b) / d + if g < b { 6.0 } else { 0.0 }
    } else if max == g {
        (b - r) / d + 2.0
    } else {
        (r - g) / d + 4.0
    };
    Hsl(h * 60.0, s, l)
}

/// As Peacock's colour library does it: saturation and lightness cut to 1/10000 first.
fn rgb(Hsl(h, s, l): Hsl) -> Rgb {
    let cut = |x: f64| (x * 10_000.0).trunc() / 10_000.0;
    let (h, s, l) = (h.rem_euclid(360.0) / 360.0, cut(s), cut(l));
    let q = if l < 0.5 {
        l * (1.0 + s)
    } else {
        l + s - l * s
    };
    let p = 2.0 * l - q;
    let channel = |t: f64| {
        let t = t.rem_euclid(1.0);
        let value = if t < 1.0 / 6.0 {
            p + (q - p) * 6.0 * t
        } else if t < 0.5 {
            q
        } else if t < 2.0 / 3.0 {
            p + (q - p) * (2.0 / 3.0 - t) * 6.0
        } else {
            p
        };
        (value * 255.0).round() as u8
    };
    Rgb(channel(h + 1.0 / 3.0), channel(h), channel(h - 1.0 / 3.0))
}

/// Lightness by `points` of a hundred more, or less if negative.
fn lighten(colour: Rgb, points: f64) -> Rgb {
    let Hsl(h, s, l) = hsl(colour);
    rgb(Hsl(h, s, (l + points / 100.0).clamp(0.0, 1.0)))
}

/// Peacock's accent: a third of the circle on, in the shade of least contrast that reaches 2 : 1.
fn accent(colour: Rgb) -> Rgb {
    let Hsl(hue, saturation, lightness) = hsl(colour);
    let hue = if saturation == 0.0 {
        60.0 * (6.0 * lightness).round()
    } else {
        hue + 120.0
    };
    let saturation = if saturation < 0.15 { 0.5 } else { saturation };
    (0..16)
        .map(|i| rgb(Hsl(hue, saturation, f64::from(i) / 16.0)))
        .map(|shade| (contrast(colour, shade), shade))
        .filter(|(contrast, _)| *contrast >= 2.0)
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(Rgb(255, 255, 255), |(_, shade)| shade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_colours_are_those_that_peacock_publishes() {
        let green = Rgb(0x42, 0xb8, 0x83);
        assert_eq!(lighten(green, 10.0).to_string(), "#65c89b");
        assert_eq!(lighten(green, -10.0).to_string(), "#359268");
        assert_eq!(accent(lighten(green, 10.0)).to_string(), "#945bc4");
        let plum = Rgb(0x83, 0x25, 0x61);
        assert_eq!(lighten(plum, 10.0).to_string(), "#ab307e");
        assert_eq!(accent(lighten(plum, 10.0)).to_string(), "#25320e");
    }

    #[test]
    fn a_hundred_slots_have_a_hundred_schemes_and_the_first_ten_one_colour() {
        let mut names: Vec<String> = (1..=100).map(|s| Scheme::of_slot(s).name()).collect();
        assert_eq!(names[0], "red");
        assert_eq!(names[10], "red-orange");
        assert!(names[..10].iter().all(|name| !name.contains('-')));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
        assert_eq!(Scheme::of_slot(101).label(), "red 101");
    }

    #[test]
    fn text_can_be_read_on_every_bar() {
        for colour in PALETTE {
            for bar in [colour.rgb, lighten(colour.rgb, 10.0)] {
                let ratio = contrast(bar, foreground(bar));
                assert!(ratio >= 4.5, "{} {bar}: {ratio}", colour.name);
            }
        }
    }

    #[test]
    fn peacock_is_told_to_leave_every_key_alone() {
        let scheme = Scheme::of_slot(14);
        let settings = scheme.settings("kiro-14", &["2.1".to_owned()]);
        let keys: Vec<&String> = settings["workbench.colorCustomizations"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        let excluded: Vec<&str> = settings["peacock.excludedSettings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect();
        assert_eq!(keys, excluded);
        assert!(keys.is_sorted());
        assert_eq!(settings["peacock.color"], scheme.main.rgb.to_string());
        assert_eq!(
            settings["window.title"],
            "green-teal 14 · kiro-14 · ${activeEditorShort} · 2.1"
        );
    }

    #[test]
    fn a_workspace_file_opens_one_folder() {
        let text = Scheme::of_slot(1).workspace_file("/src/app.swarm/wt/a", "a", &[]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["folders"][0]["path"], "/src/app.swarm/wt/a");
        assert_eq!(value["settings"]["peacock.color"], "#932a37");
    }
}
