//! sporekit: small commands that let a swarm of coding agents work on one git repository.
//!
//! ```text
//!      text                 spores                  plans
//!  "run task 2.1"      Markdown messages       who does what, when
//!        │                    │                       │
//!     grammar ──► action ◄── spore          task ──► assign
//!                    │         │                       │
//!                    └──► spool (mailboxes) ◄── swarm (root, roster, journal)
//! ```
//!
//! The rooms, in the order in which one would explain the system. A room may use those above it,
//! never those below; `tests/architecture.rs` holds that, and that a *pure* room touches no file,
//! clock, environment or process. The library never prints and never exits: that is for [`cli`].
//!
//! | room | what | pure |
//! |---|---|---|
//! | [`id`] | names that cannot be wrong: agent, task, spore, topic | yes |
//! | [`action`] | actions, results and the other models, as on the wire | yes |
//! | [`grammar`] | text ⇄ action: one line, one command | yes |
//! | [`spore`] | the Markdown message: tolerant reader, strict writer | yes |
//! | [`task`] | task lists: one model, one file for each form that is read | yes |
//! | [`assign`] | who does what, in which order, and why: plans, and new plans after a failure | yes |
//! | [`event`] | what can happen, and the fold that turns a journal into the state of the swarm | yes |
//! | [`swarm`] | the swarm on disk: root, configuration, roster, identity, journal | no |
//! | [`health`] | who is well, who is not, why, and what to do about it | yes |
//! | [`theme`] | colours that people can tell apart; editor settings | yes |
//! | [`spool`] | mailboxes on disk: durable delivery, claims, leases | no |
//! | [`bus`] | one interface for files, Redis, NATS, RabbitMQ and Kafka; the outbox, custody | no |
//! | [`workspace`] | git: spawn, salvage, reap; everything that runs git is here | no |
//! | [`run`] | one agent command on one task: limits, evidence, outcome | no |
//! | [`integrate`] | finished work comes home: order, union, gate, culprit, report | no |
//!
//! Below them stands [`cli`], one file a command, the only place that prints; and `bin/`, three
//! lines a command.

pub mod action;
pub mod assign;
pub mod bus;
pub mod event;
pub mod grammar;
pub mod health;
pub mod id;
pub mod integrate;
pub mod run;
pub mod spool;
pub mod spore;
pub mod swarm;
pub mod task;
pub mod theme;
pub mod workspace;

#[cfg(feature = "cli")]
pub mod cli;
