//! A plan as a chart that people like to look at: SVG without scripts and outside fonts, in the
//! colours of the agents, for light and dark screens.

use std::collections::HashMap;
use std::fmt::Write;

use super::build::summary;
use super::plan::{Plan, PlannedTask, human};

/// Hues that people can tell apart, also with weak colour vision, in the order in which agents get
/// them (after Okabe and Ito); each for light and for dark screens.
const HUES: [(&str, &str); 8] = [
    ("#0072b2", "#3d9bd6"),
    ("#d55e00", "#f0803c"),
    ("#009e73", "#2cc49a"),
    ("#b0508f", "#d97fbb"),
    ("#8a6d00", "#d9b52e"),
    ("#3f7fa6", "#74bde8"),
    ("#5b5bd6", "#8f8ff5"),
    ("#6b6b6b", "#a5a5a5"),
];

/// What is not an agent's: paper, bands behind every other agent, ink, soft ink, rules.
const LIGHT: [&str; 5] = ["#fcfcfa", "#f3f3ee", "#22262b", "#6a7078", "#e4e4de"];
const DARK: [&str; 5] = ["#16191d", "#1c2025", "#e9ebee", "#9aa2ab", "#2b3037"];

/// The rules that give everything its colour.
fn sheet(
    [paper, band, ink, soft, rule]: &[&str; 5],
    hue: fn(&(&'static str, &'static str)) -> &'static str,
) -> String {
    let mut rules = format!(
        ".paper{{fill:{paper}}}.band{{fill:{band}}}.ink{{fill:{ink}}}.soft{{fill:{soft}}}.rule{{stroke:{rule}}}.chain{{stroke:{ink}}}.lock,.shackle{{stroke:{soft}}}"
    );
    for (number, colour) in HUES.iter().map(hue).enumerate() {
        let _ = write!(
            rules,
            ".h{number} .name,.h{number} .bar,.h{number} .edge{{fill:{colour}}}.h{number} .bar{{stroke:{colour}}}"
        );
    }
    rules
}

const LEFT: f64 = 132.0;
const WIDTH: f64 = 1200.0;
const TOP: f64 = 86.0;
const BAR: f64 = 30.0;
const ROW: f64 = 38.0;

/// The chart. Rows are the agents' slots; a bar's outline says that it lies on the longest chain, a
/// lock and thin lines between bars that tasks share a file.
pub fn svg(plan: &Plan) -> String {
    let rows = rows(plan);
    let lanes: usize = rows.iter().map(|r| r.lanes).sum();
    let shared = shared(plan);
    let legend = shared.len().min(12);
    let height = TOP + lanes as f64 * ROW + 48.0 + legend as f64 * 20.0;
    let mut chart = Chart {
        plan,
        scale: (WIDTH - LEFT - 24.0) / plan.makespan_ms.max(1) as f64,
        text: String::new(),
        place: HashMap::new(),
    };
    chart.head(height);
    chart.grid(TOP + lanes as f64 * ROW);
    let mut lane = 0;
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + lane as f64 * ROW;
        chart.agent(number, row, y);
        lane += row.lanes;
    }
    chart.chain();
    chart.locks(&shared);
    chart.legend(
        &shared[..legend],
        shared.len(),
        TOP + lanes as f64 * ROW + 52.0,
    );
    chart.text.push_str("</svg>\n");
    chart.text
}

struct Row<'p> {
    name: &'p str,
    lanes: usize,
    /// Each task with its lane.
    tasks: Vec<(&'p PlannedTask, usize)>,
}

/// The tasks of each agent, on as many lanes as it has slots.
fn rows(plan: &Plan) -> Vec<Row<'_>> {
    plan.agents
        .iter()
        .map(|agent| {
            let mut free: Vec<u64> = Vec::new();
            let mut tasks = Vec::new();
            for task in plan.of(&agent.name) {
                let lane = free
                    .iter()
                    .position(|&f| f <= task.start_ms)
                    .unwrap_or(free.len());
                if lane == free.len() {
                    free.push(0);
                }
                free[lane] = task.finish_ms;
                tasks.push((task, lane));
            }
            Row {
                name: &agent.name,
                lanes: free.len().max(1),
                tasks,
            }
        })
        .collect()
}

/// Files and locks with two or more users.
fn shared(plan: &Plan) -> Vec<(&str, Vec<&str>)> {
    let shared = plan.resources.iter().filter(|r| r.tasks.len() > 1);
    shared
        .map(|r| {
            (
                r.name.as_str(),
                r.tasks.iter().map(String::as_str).collect(),
            )
        })
        .collect()
}

struct Chart<'p> {
    plan: &'p Plan,
    scale: f64,
    text: String,
    /// Where each bar is: left, right, top.
    place: HashMap<&'p str, (f64, f64, f64)>,
}

impl<'p> Chart<'p> {
    fn x(&self, ms: u64) -> f64 {
        LEFT + ms as f64 * self.scale
    }

    fn head(&mut self, height: f64) {
        // Plain rules, the dark ones after the light ones: viewers that know no media query, or no
        // custom property, show the light chart.
        let light = sheet(&LIGHT, |hue| hue.0);
        let dark = sheet(&DARK, |hue| hue.1);
        let _ = write!(
            self.text,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">
<title id="title">{title}</title>
<style>
text{{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}}
text.small{{font-size:11px}}text.big{{font-size:18px;font-weight:600}}text.name{{font-weight:600}}
.bar{{fill-opacity:.20;stroke-width:1}}.critical .bar{{fill-opacity:.42;stroke-width:2.5}}.optional .bar{{stroke-dasharray:4 3}}
.chain{{fill:none;stroke-width:1.5;stroke-opacity:.55}}.lock{{fill:none;stroke-width:1.2;stroke-dasharray:2 3}}.shackle{{fill:none;stroke-width:1.5}}
{light}
@media(prefers-color-scheme:dark){{{dark}}}
</style>
<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>
<text class="ink big" x="24" y="34">{headline}</text>
<text class="soft" x="24" y="54">{by}</text>
"##,
            title = escaped(&summary(self.plan)),
            headline = escaped(&summary(self.plan)),
            by = escaped(&format!(
                "held back by {}; thick outline: the longest chain; padlock: shares a file or lock",
                self.plan.bound_by
            )),
        );
    }

    /// Vertical lines at round times.
    fn grid(&mut self, bottom: f64) {
        let step = round_step(self.plan.makespan_ms);
        let mut at = 0;
        loop {
            let x = self.x(at);
            let _ = writeln!(
                self.text,
                r#"<line class="rule" x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{bottom:.1}"/><text class="soft small" x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                TOP - 8.0,
                bottom + 16.0,
                human(at),
            );
            at += step;
            if at > self.plan.makespan_ms {
                return;
            }
        }
    }

    fn agent(&mut self, number: usize, row: &Row<'p>, y: f64) {
        let hue = number % HUES.len();
        if number.is_multiple_of(2) {
            let _ = writeln!(
                self.text,
                r#"<rect class="band" x="0" y="{:.1}" width="{WIDTH}" height="{:.1}" opacity=".6"/>"#,
                y - 4.0,
                row.lanes as f64 * ROW,
            );
        }
        let _ = writeln!(
            self.text,
            r#"<g class="h{hue}"><text class="name" x="24" y="{:.1}">{}</text>"#,
            y + 20.0,
            escaped(&clipped(row.name, 105.0, 7.6)),
        );
        for &(task, lane) in &row.tasks {
            self.bar(task, y + lane as f64 * ROW);
        }
        self.text.push_str("</g>\n");
    }

    fn bar(&mut self, task: &'p PlannedTask, y: f64) {
        let (left, right) = (self.x(task.start_ms), self.x(task.finish_ms));
        let width = (right - left - 2.0).max(2.0);
        let mut class = String::new();
        if task.critical {
            class.push_str(" critical");
        }
        if task.optional {
            class.push_str(" optional");
        }
        let locked = if task.holds.is_empty() { 0.0 } else { 15.0 };
        let label = clipped(
            &format!("{} {}", task.id, task.title),
            width - 14.0 - locked,
            7.4,
        );
        let about = format!(
            "{} {}\n{} to {} on {}, {} of slack\n{}{}",
            task.id,
            task.title,
            human(task.start_ms),
            human(task.finish_ms),
            task.agent,
            human(task.slack_ms),
            task.reason,
            if task.holds.is_empty() {
                String::new()
            } else {
                format!("\nholds {}", task.holds.join(", "))
            },
        );
        let _ = write!(
            self.text,
            r#"<g class="task{class}"><title>{}</title><rect class="bar" x="{left:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="5"/><rect class="edge" x="{left:.1}" y="{y:.1}" width="{:.1}" height="{BAR}" rx="2"/>"#,
            escaped(&about),
            3.0_f64.min(width),
        );
        // In a bar too narrow for its name the name stands upright.
        let upright = !label.starts_with(&task.id)
            && width >= 14.0
            && clipped(&task.id, BAR - 1.0, 7.0) == task.id;
        if upright {
            let (x, y) = (left + 12.0, y + BAR / 2.0);
            let _ = write!(
                self.text,
                r#"<text class="ink small" x="{x:.1}" y="{y:.1}" text-anchor="middle" transform="rotate(-90 {x:.1} {y:.1})">{}</text>"#,
                escaped(&task.id),
            );
        } else if !label.is_empty() {
            let _ = write!(
                self.text,
                r#"<text class="ink" x="{:.1}" y="{:.1}">{}</text>"#,
                left + 9.0,
                y + 20.0,
                escaped(&label),
            );
        }
        if locked > 0.0 && width > 22.0 {
            let x = left + width - if upright { 11.0 } else { 15.0 };
            let _ = write!(
                self.text,
                r#"<g class="soft"><rect x="{x:.1}" y="{:.1}" width="9" height="7" rx="1.5"/><path d="M{:.1} {:.1}v-2a2.5 2.5 0 0 1 5 0v2" class="shackle"/></g>"#,
                y + 14.0,
                x + 2.0,
                y + 14.0,
            );
        }
        self.text.push_str("</g>\n");
        self.place.insert(&task.id, (left, left + width, y));
    }

    /// The chain that decides the end, bar to bar.
    fn chain(&mut self) {
        for pair in self.plan.critical_path.windows(2) {
            let ends = [&pair[0], &pair[1]].map(|id| self.place.get(id.as_str()).copied());
            if let [Some((_, right, from)), Some((left, _, to))] = ends
                && (from - to).abs() > 1.0
            {
                let (y1, y2) = (from + BAR / 2.0, to + BAR / 2.0);
                let bend = ((left - right) / 2.0).clamp(6.0, 40.0);
                let _ = writeln!(
                    self.text,
                    r#"<path class="chain" d="M{right:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {left:.1} {y2:.1}"/>"#,
                    right + bend,
                    left - bend,
                );
            }
        }
    }

    /// A dotted line from each user of a file to the next.
    fn locks(&mut self, shared: &[(&str, Vec<&str>)]) {
        const MOST: usize = 200;
        let mut drawn = 0;
        for (_, users) in shared {
            let mut bars: Vec<(f64, f64, f64)> = users
                .iter()
                .filter_map(|id| self.place.get(id).copied())
                .collect();
            bars.sort_by(|a, b| a.0.total_cmp(&b.0));
            for pair in bars.windows(2) {
                drawn += 1;
                if drawn > MOST {
                    return;
                }
                let _ = writeln!(
                    self.text,
                    r#"<path class="lock" d="M{:.1} {:.1}L{:.1} {:.1}"/>"#,
                    pair[0].1 - 8.0,
                    pair[0].2 + BAR,
                    pair[1].0 + 6.0,
                    pair[1].2 + if pair[1].2 > pair[0].2 { 0.0 } else { BAR },
                );
            }
        }
    }

    fn legend(&mut self, shown: &[(&str, Vec<&str>)], all: usize, mut y: f64) {
        for (name, users) in shown {
            let line = format!("{name}: {}", users.join(", "));
            let _ = writeln!(
                self.text,
                r#"<text class="soft small" x="{LEFT}" y="{y:.1}">{}</text>"#,
                escaped(&clipped(&line, WIDTH - LEFT - 40.0, 6.0)),
            );
            y += 20.0;
        }
        if all > shown.len() {
            let _ = writeln!(
                self.text,
                r#"<text class="soft small" x="24" y="{:.1}">and {} more</text>"#,
                y - 20.0,
                all - shown.len(),
            );
        }
    }
}

/// A step of time that gives six to twelve lines.
fn round_step(makespan: u64) -> u64 {
    const STEPS: [u64; 20] = [
        1,
        10,
        100,
        1000,
        5000,
        10_000,
        30_000,
        60_000,
        120_000,
        300_000,
        600_000,
        900_000,
        1_800_000,
        3_600_000,
        7_200_000,
        14_400_000,
        28_800_000,
        86_400_000,
        172_800_000,
        604_800_000,
    ];
    let least = makespan / 11;
    let fits = STEPS.iter().copied().find(|&step| step >= least);
    fits.unwrap_or(least).max(1)
}

/// As much of a text as fits, with an ellipsis; nothing where not even a few letters fit.
fn clipped(text: &str, room: f64, letter: f64) -> String {
    let fits = (room / letter).max(0.0) as usize;
    // Letters of East Asian scripts are about twice as wide.
    let wide = |c: char| if c as u32 >= 0x1100 { 2 } else { 1 };
    let mut used = 0;
    let mut shown = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        used += wide(c);
        if used > fits {
            if shown.chars().count() < 2 {
                return String::new();
            }
            shown.pop();
            shown.push('…');
            return shown;
        }
        shown.push(c);
    }
    shown
}

fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\n' => shown.push('\n'),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => {}
            c => shown.push(c),
        }
    }
    shown
}
