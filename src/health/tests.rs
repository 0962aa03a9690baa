use super::*;
use crate::action::Wire;
use crate::event::{Event, Lease, Signs, What};

const START: i64 = 1_795_510_800_000;

/// The state after events, each `minutes` after the start.
fn state(events: Vec<(i64, What)>) -> State {
    let mut state = State::default();
    for (minutes, what) in events {
        state.apply(&Event {
            at: at(minutes),
            correlation_id: String::new(),
            what,
        });
    }
    state
}

fn at(minutes: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(START + minutes * 60_000).unwrap();
    format!("{time:.3}")
}

fn claimed(task: &str, agent: &str, epoch: u64) -> What {
    What::Claimed {
        task: task.into(),
        agent: agent.into(),
        epoch,
        lease: Lease::default(),
    }
}

fn done(task: &str, agent: &str) -> What {
    What::Done {
        task: task.into(),
        agent: agent.into(),
        epoch: 1,
        commit: None,
        run: None,
    }
}

fn failed(task: &str, agent: &str, epoch: u64, then: Then) -> What {
    What::Failed {
        task: task.into(),
        agent: agent.into(),
        epoch,
        exit: 13,
        then,
        retry_at: Some(at(60)),
        why: Some("denied: src/".into()),
    }
}

fn began(run: &str, agent: &str, task: &str) -> What {
    What::RunBegan {
        run: run.into(),
        agent: agent.into(),
        task: Some(task.into()),
        epoch: Some(1),
        command: "claude".into(),
        holder: String::new(),
    }
}

/// A plan of three tasks, the third after the first, for `a` and `b`; seen so many minutes after
/// the start.
fn seen(minutes: i64) -> Seen {
    let task = |id: &str, agent: &str, after: &[&str]| Task {
        id: id.into(),
        agent: agent.into(),
        after: after.iter().map(ToString::to_string).collect(),
        ..Task::default()
    };
    let agent = |name: &str, slot| Agent {
        name: name.into(),
        slot: Some(slot),
        ..Agent::default()
    };
    Seen {
        now_ms: START + minutes * 60_000,
        tasks: vec![
            task("1", "a", &[]),
            task("2", "b", &[]),
            task("3", "b", &["1"]),
        ],
        agents: vec![agent("b", 2), agent("a", 1)],
        ..Seen::default()
    }
}

fn of<'a>(report: &'a Report, name: &str) -> &'a Patient {
    report.agents.iter().find(|p| p.agent.name == name).unwrap()
}

fn judged(events: Vec<(i64, What)>, seen: &Seen) -> Report {
    judge(&state(events), seen, &Limits::default())
}

#[test]
fn one_who_works_stalls_when_nothing_is_heard_and_is_dead_when_its_process_is() {
    let events = || vec![(0, claimed("1", "a", 1)), (0, began("r1", "a", "1"))];
    let mut seen = seen(9);
    seen.live_runs.insert("r1".into());
    let report = judged(events(), &seen);
    let a = of(&report, "a");
    assert_eq!(
        (a.condition, a.task.as_deref()),
        (Condition::Working, Some("1"))
    );
    assert_eq!(a.why, "claude runs, heard 9m ago");

    seen.now_ms = START + 11 * 60_000;
    let report = judged(events(), &seen);
    let a = of(&report, "a");
    assert_eq!(
        (a.condition, a.level()),
        (Condition::Stalled, Level::Critical)
    );
    assert!(
        a.why.contains("no sign of life for 11m in run r1"),
        "{}",
        a.why
    );
    assert_eq!(a.indicators[0].name, "silence");

    let alive = What::RunAlive {
        run: "r1".into(),
        n: 1,
        signs: Signs {
            turns: Some(3),
            usd_micros: Some(5),
            ..Signs::default()
        },
    };
    let mut heard = events();
    heard.push((10, alive));
    let report = judged(heard, &seen);
    assert_eq!(of(&report, "a").why, "claude runs, 3 turns, heard 1m ago");
    assert_eq!(report.usd_micros(), Some(5));

    seen.grips.insert("1".into(), Grip::Dead);
    let report = judged(events(), &seen);
    let a = of(&report, "a");
    assert_eq!(a.condition, Condition::Dead);
    assert_eq!(
        a.mend.as_deref(),
        Some("swarm-ctl --do 'restart instance a'")
    );
    let lease = &report.indicators[0];
    assert_eq!((lease.name, lease.level), ("lease", Level::Critical));
    assert_eq!(
        lease.mend.as_deref(),
        Some("swarm-assign release 1 --agent a --epoch 1")
    );
    assert_eq!(report.tasks.ready, 2, "what the dead held can be had");
}

#[test]
fn an_idle_one_says_what_it_waits_for_down_to_what_can_be_done() {
    let mut seen = seen(1);
    let report = judged(vec![], &seen);
    let a = of(&report, "a");
    assert_eq!(a.why, "task 1 is ready, and nobody hands it out");
    assert_eq!(a.mend.as_deref(), Some("swarm-ctl run --until done"));
    seen.conducted = true;
    assert_eq!(of(&judged(vec![], &seen), "a").mend, None);

    let events = vec![
        (0, claimed("1", "a", 1)),
        (0, claimed("2", "b", 1)),
        (0, done("2", "b")),
    ];
    let report = judged(events.clone(), &seen);
    assert_eq!(
        of(&report, "b").why,
        "nothing is ready: 3 waits, and 1 is with a"
    );
    let mut stuck = events;
    stuck.push((0, failed("1", "a", 1, Then::Human)));
    let report = judged(stuck, &seen);
    let b = of(&report, "b");
    assert_eq!(b.why, "nothing is ready: 3 waits, and 1 needs you");
    assert_eq!(b.mend.as_deref(), Some("swarm-assign retry 1"));
    let a = of(&report, "a");
    assert_eq!(
        (a.condition, &*a.why),
        (Condition::NeedsYou, "task 1: denied: src/")
    );
}

#[test]
fn a_limit_ends_by_itself_a_hold_by_its_command_and_all_done_is_done() {
    let mut seen = seen(30);
    let limited = vec![
        (0, claimed("1", "a", 1)),
        (0, failed("1", "a", 1, Then::Later)),
    ];
    let report = judged(limited.clone(), &seen);
    let a = of(&report, "a");
    assert_eq!(a.condition, Condition::Limited);
    assert!(a.why.ends_with("in 30m"), "{}", a.why);
    seen.now_ms = START + 61 * 60_000;
    assert_eq!(of(&judged(limited, &seen), "a").condition, Condition::Idle);

    seen.agents[1].held = Some(Held {
        what: "a is paused (lunch)".into(),
        since: at(2),
        lift: "resume instance a".into(),
        limit: false,
        freeze: false,
    });
    let report = judged(vec![], &seen);
    let a = of(&report, "a");
    assert_eq!(
        (a.condition, &*a.why),
        (Condition::Paused, "a is paused (lunch)")
    );
    assert_eq!(
        a.mend.as_deref(),
        Some("swarm-ctl --do 'resume instance a'")
    );
    let working = judged(vec![(0, claimed("1", "a", 1))], &seen);
    assert_eq!(
        of(&working, "a").condition,
        Condition::Working,
        "what runs goes on"
    );
    seen.agents[1].held = seen.agents[1].held.take().map(|held| Held {
        freeze: true,
        ..held
    });
    let began = What::RunBegan {
        run: "a-1".into(),
        agent: "a".into(),
        task: Some("1".into()),
        epoch: Some(1),
        command: "fake".into(),
        holder: String::new(),
    };
    seen.live_runs.insert("a-1".into());
    let frozen = judged(vec![(0, claimed("1", "a", 1)), (0, began)], &seen);
    let a = of(&frozen, "a");
    assert_eq!(
        (a.condition, &*a.why),
        (Condition::Paused, "a is paused (lunch); run a-1 is frozen")
    );
    seen.live_runs.clear();

    seen.agents[1].held = seen.agents[1].held.take().map(|held| Held {
        limit: true,
        ..held
    });
    assert_eq!(
        of(&judged(vec![], &seen), "a").condition,
        Condition::Limited
    );

    seen.agents[1].held = None;
    let all = ["1", "2", "3"].map(|task| vec![(0, claimed(task, "b", 1)), (0, done(task, "b"))]);
    let report = judged(all.concat(), &seen);
    assert!(
        report
            .agents
            .iter()
            .all(|agent| agent.condition == Condition::Done)
    );
    assert_eq!(report.level(), Level::Healthy);
}

#[test]
fn anomalies_carry_their_figures() {
    let mut seen = seen(50);
    let mut events = Vec::new();
    for epoch in 1..=4 {
        events.push((epoch as i64, claimed("1", "a", epoch)));
        events.push((epoch as i64, failed("1", "a", epoch, Then::Retry)));
    }
    for number in 0..6 {
        let id = format!("x{number}");
        events.push((5, claimed(&id, "b", 1)));
        events.push((5, done(&id, "b")));
    }
    seen.agents[0].mail = Some(Mail {
        unread: 2,
        oldest_ms: Some(40 * 60_000),
        dead: 1,
    });
    seen.orphans.push(Orphan {
        pid: 7,
        command: "node".into(),
        agent: "a".into(),
        run: None,
    });
    seen.leaks.push(Leak {
        file: "src/a.rs".into(),
        by: Some(("a".into(), "1".into())),
        mend: "git diff".into(),
    });
    seen.torn = 1;
    let report = judged(events, &seen);
    let names: Vec<&str> = report.indicators.iter().map(|sign| sign.name).collect();
    assert_eq!(
        names,
        [
            "thrash",
            "leak",
            "orphan",
            "unread",
            "dead-mail",
            "throughput",
            "journal"
        ]
    );
    assert_eq!(
        report.indicators[5].message,
        "0 tasks done in the last 30m, 6 in the 30m before"
    );
    let a = of(&report, "a");
    assert_eq!(a.indicators[0].name, "repeated-failure");
    assert!(a.indicators[0].message.contains("4 times in a row"));

    let modules = report.modules("1");
    assert_eq!(modules.len(), 3);
    for module in &modules {
        let line = module.to_json();
        assert_eq!(ModuleStatus::from_json(&line).unwrap().to_json(), line);
    }
    assert_eq!(modules[1].module_name, "agent/a");
    assert_eq!(modules[1].status, "critical");
    let tail = modules[1].to_json();
    assert!(
        tail.contains(r#""v":1,"type":"status","agent":"a","slot":1,"state":"idle""#),
        "{tail}"
    );
}

#[test]
fn one_can_wait_for_states_tasks_and_numbers() {
    let mut seen = seen(1);
    seen.live_runs.insert("r1".into());
    let events = vec![
        (0, claimed("2", "b", 1)),
        (0, done("2", "b")),
        (0, claimed("1", "a", 1)),
        (0, began("r1", "a", "1")),
    ];
    let report = judged(events, &seen);
    let holds = |text: &str| text.parse::<Until>().unwrap().holds(&report).unwrap();
    for yes in [
        "a=working",
        "b!=working",
        "any=working",
        "any=idle",
        "all!=done",
        "task:2=done",
        "task:3!=done",
        "tasks.done>=1",
        "tasks.total=3",
        "tasks.claimed == 1",
        "agents.working=1",
        "agents.total<3",
        "mail.unread=0,mail.dead=0",
        "a=done|b=idle",
        "a=dead,b=idle|tasks.waiting>0",
    ] {
        assert!(holds(yes), "{yes}");
    }
    for no in [
        "all=working",
        "a!=working",
        "a=working,b=done",
        "tasks.done>1",
        "any=dead",
    ] {
        assert!(!holds(no), "{no}");
    }
    for wrong in [
        "",
        "a",
        "a=",
        "=done",
        "a>done",
        "tasks.done=x",
        "a=done,",
        "tasks.done",
    ] {
        assert!(wrong.parse::<Until>().is_err(), "{wrong:?}");
    }
    let word = "a=doen".parse::<Until>().unwrap_err();
    assert_eq!(word.nearest(), ["done"]);
    let nobody = "c=done|a=done".parse::<Until>().unwrap().holds(&report);
    assert!(matches!(nobody, Err(UntilError::Nobody(..))));
    let nothing = "task:9=done".parse::<Until>().unwrap().holds(&report);
    assert!(matches!(nothing, Err(UntilError::NoTask(..))));
}
