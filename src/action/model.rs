//! The orchestration models of the original, member for member (WIRE: 15 orchestration models, the
//! four of validation and health, and their enums).

use super::json::{Object, ReadError};
use super::time::{TimeDelta, Timestamp};
use super::wire::{Dict, NoFill, Wire, WirePath, model, words};

words! {
    /// Where a task stands.
    TaskStatus {
        /// Nobody has it.
        Pending = "pending",
        /// Somebody will do it.
        Assigned = "assigned",
        /// Somebody does it.
        Running = "running",
        /// Done.
        Completed = "completed",
        /// Not done.
        Failed = "failed",
        /// Not to be done.
        Cancelled = "cancelled",
    }
}

words! {
    /// What an instance does.
    InstanceStatus {
        /// It is being made.
        Starting = "starting",
        /// It is there.
        Active = "active",
        /// It works.
        Busy = "busy",
        /// It waits for work.
        Idle = "idle",
        /// It is being ended.
        Stopping = "stopping",
        /// It is gone.
        Stopped = "stopped",
        /// It failed.
        Error = "error",
    }
}

words! {
    /// How far an instance is kept apart from others.
    IsolationLevel {
        /// Not at all.
        Basic = "basic",
        /// By a worktree of its own.
        Workspace = "workspace",
        /// By a container.
        Container = "container",
        /// By a virtual machine.
        Vm = "vm",
    }
}

words! {
    /// How tasks are dealt out.
    DistributionStrategy {
        /// One after the other in turn.
        RoundRobin = "round_robin",
        /// To whom has the least to do.
        LoadBalanced = "load_balanced",
        /// By the longest chain of dependencies first.
        DependencyAware = "dependency_aware",
        /// To whom can do it best.
        CapabilityBased = "capability_based",
    }
}

words! {
    /// When branches are merged.
    IntegrationPolicy {
        /// As soon as they are done.
        Immediate = "immediate",
        /// Several at a time.
        Batch = "batch",
        /// When a person says so.
        Manual = "manual",
        /// When the gate passes.
        QualityGated = "quality_gated",
    }
}

model! {
    /// What one instance may use.
    ResourceLimits {
        /// Processor share in percent.
        max_cpu_percent: f64 = (80.0);
        /// Memory in MiB.
        max_memory_mb: i64 = (4096);
        /// Disk in MiB.
        max_disk_mb: i64 = (10240);
        /// Network in megabits a second.
        max_network_mbps: f64 = (100.0);
    }
}

model! {
    /// Where instances may run.
    DeploymentTarget {
        /// What it is called.
        name: String = required;
        /// `local`, `docker`, `k8s`, `cloud`; unchecked.
        kind as "type": String = required;
        /// Its address.
        endpoint: Option<String> = (None);
        /// How one logs in.
        credentials: Object = (Object::new());
        /// What may be used there.
        resource_limits: ResourceLimits = (ResourceLimits::default());
    }
}

model! {
    /// How instances talk.
    ProtocolConfig {
        /// The protocol's name.
        protocol_type: String = ("text".to_owned());
        /// Seconds until an answer is given up.
        timeout_seconds: i64 = (30);
        /// How often a message is tried again.
        retry_attempts: i64 = (3);
        /// Messages in one go.
        batch_size: i64 = (10);
        /// Whether messages are compressed.
        compression_enabled: bool = (false);
    }
}

model! {
    /// A piece of work.
    Task {
        /// Its id.
        id: String = uuid "";
        /// What is to be done.
        description: String = required;
        /// Requirements that it serves.
        requirements: Vec<String> = (Vec::new());
        /// Ids of the tasks before it.
        dependencies: Vec<String> = (Vec::new());
        /// How long it is thought to take.
        estimated_duration: TimeDelta = (TimeDelta::from_millis(1_800_000));
        /// From 0.1 to 10.
        complexity_score: f64 = (1.0);
        /// What its agent must be able to do.
        required_capabilities: Vec<String> = (Vec::new());
        /// When it is done.
        acceptance_criteria: Vec<String> = (Vec::new());
        /// Anything else.
        parameters: Object = (Object::new());
        /// Where it stands.
        status: TaskStatus = (TaskStatus::Pending);
        /// Who has it.
        assigned_instance: Option<String> = (None);
        /// When it was begun.
        start_time: Option<Timestamp> = (None);
        /// When it ended.
        completion_time: Option<Timestamp> = (None);
        /// What came of it.
        result: Option<Object> = (None);
        /// Why it failed.
        error_message: Option<String> = (None);
    }
    check |model| within("complexity_score", 0.1, 10.0, model.complexity_score);
}

model! {
    /// The colours of an instance's window.
    PeacockTheme {
        /// A colour word.
        color_name: String = required;
        /// `#rrggbb`.
        primary_color: String = required;
        /// `#rrggbb`.
        accent_color: String = required;
        /// Its id.
        theme_id: String = uuid "";
    }
}

model! {
    /// A git worktree.
    WorktreeInfo {
        /// Where it is.
        workspace_path: WirePath = required;
        /// What is checked out.
        branch_name: String = required;
        /// Its id.
        worktree_id: String = uuid "";
        /// When it was made.
        creation_timestamp: Timestamp = now;
        /// The common git directory.
        shared_git_dir: WirePath = required;
        /// Whether no branch is checked out.
        is_detached: bool = (false);
    }
}

model! {
    /// An agent and its place.
    KiroInstance {
        /// Its name.
        instance_id: String = uuid "kiro-";
        /// Its branch.
        branch_name: String = required;
        /// Its worktree.
        workspace_path: WirePath = required;
        /// The repository it came from.
        source_repository: String = required;
        /// What it may use.
        resource_allocation: ResourceLimits = (ResourceLimits::default());
        /// Its tasks.
        task_assignments: Vec<String> = (Vec::new());
        /// Its mailbox.
        communication_endpoint: String = required;
        /// How far it is kept apart.
        isolation_level: IsolationLevel = (IsolationLevel::Workspace);
        /// Its colours.
        peacock_theme: PeacockTheme = required;
        /// What a person calls it.
        visual_identifier: String = required;
        /// What it does.
        status: InstanceStatus = (InstanceStatus::Starting);
        /// Since when.
        start_time: Timestamp = now;
        /// Its last sign of life.
        last_heartbeat: Option<Timestamp> = (None);
        /// Its worktree in detail.
        worktree_info: Option<WorktreeInfo> = (None);
        /// Its process.
        process_id: Option<i64> = (None);
        /// Figures.
        performance_metrics: Object = (Object::new());
    }
}

model! {
    /// How a swarm is to be run.
    SwarmConfig {
        /// From 1 to 50.
        instance_count: i64 = (3);
        /// For each instance.
        resource_limits: ResourceLimits = (ResourceLimits::default());
        /// Where instances may run.
        deployment_targets: Vec<DeploymentTarget> = (Vec::new());
        /// How tasks are dealt out.
        task_distribution_strategy: DistributionStrategy = (DistributionStrategy::DependencyAware);
        /// How instances talk.
        communication_protocol: ProtocolConfig = (ProtocolConfig::default());
        /// When branches are merged.
        integration_policy: IntegrationPolicy = (IntegrationPolicy::QualityGated);
        /// Whether the number of instances follows the load.
        auto_scaling_enabled: bool = (true);
        /// From 1 to 100.
        max_instances: i64 = (10);
        /// At least 1, at most `max_instances`.
        min_instances: i64 = (1);
        /// From 10 to 95 percent.
        scaling_threshold_cpu: f64 = (70.0);
        /// From 10 to 95 percent.
        scaling_threshold_memory: f64 = (80.0);
        /// From 5 to 300 seconds.
        health_check_interval: i64 = (30);
        /// At least 60 seconds.
        task_timeout: i64 = (3600);
        /// Whether windows are coloured.
        enable_visual_identification: bool = (true);
    }
    check |model| swarm_config(model);
}

model! {
    /// Figures of a swarm.
    SwarmMetrics {
        /// Tasks in all.
        total_tasks: i64 = (0);
        /// Done.
        completed_tasks: i64 = (0);
        /// Failed.
        failed_tasks: i64 = (0);
        /// Instances at work.
        active_instances: i64 = (0);
        /// Seconds.
        average_task_duration: f64 = (0.0);
        /// Seconds.
        total_execution_time: f64 = (0.0);
        /// Share by resource.
        resource_utilization: Dict<f64> = (Dict::default());
        /// Tasks an hour.
        throughput_tasks_per_hour: f64 = (0.0);
        /// Failed by all.
        error_rate: f64 = (0.0);
        /// When it was counted.
        last_updated: Timestamp = now;
    }
}

model! {
    /// How far merging is.
    IntegrationStatus {
        /// Waiting.
        pending_integrations: i64 = (0);
        /// Landed.
        successful_integrations: i64 = (0);
        /// Refused.
        failed_integrations: i64 = (0);
        /// Conflicts.
        conflicts_detected: i64 = (0);
        /// The last one.
        last_integration: Option<Timestamp> = (None);
        /// What waits.
        integration_queue: Vec<String> = (Vec::new());
    }
}

model! {
    /// Everything about a swarm at one time.
    SwarmState {
        /// Its name.
        swarm_id: String = uuid "swarm-";
        /// By instance id.
        instances: Dict<KiroInstance> = (Dict::default());
        /// Task ids by instance id.
        task_assignments: Dict<Vec<String>> = (Dict::default());
        /// By task id.
        execution_status: Dict<TaskStatus> = (Dict::default());
        /// What was said.
        communication_log: Vec<Object> = (Vec::new());
        /// Figures.
        performance_metrics: SwarmMetrics = {};
        /// How far merging is.
        integration_status: IntegrationStatus = (IntegrationStatus::default());
        /// Since when.
        start_time: Timestamp = now;
        /// As of when.
        last_updated: Timestamp = now;
        /// How it is run.
        config: SwarmConfig = required;
        /// `initializing`, `active`, `scaling`, …; unchecked.
        status: String = ("initializing".to_owned());
    }
}

model! {
    /// Who does what.
    DistributionPlan {
        /// Its id.
        plan_id: String = uuid "";
        /// Tasks in all.
        total_tasks: i64 = required;
        /// Task ids by instance id, in order.
        instance_assignments: Dict<Vec<String>> = (Dict::default());
        /// Tasks that hang together.
        dependency_groups: Vec<Vec<String>> = (Vec::new());
        /// How long it will take.
        estimated_completion_time: TimeDelta = required;
        /// By instance id.
        resource_requirements: Dict<ResourceLimits> = (Dict::default());
        /// Tasks that may run at the same time.
        parallel_execution_groups: Vec<Vec<String>> = (Vec::new());
        /// The tasks that decide how long it takes.
        critical_path: Vec<String> = (Vec::new());
        /// When it was made.
        created_at: Timestamp = now;
        /// How it was made.
        strategy_used: DistributionStrategy = required;
    }
}

model! {
    /// An instance that failed.
    InstanceFailure {
        /// Which.
        instance_id: String = required;
        /// `crash`, `timeout`, `resource`, `communication`; unchecked.
        failure_type: String = required;
        /// When.
        failure_time: Timestamp = now;
        /// What it said.
        error_message: String = required;
        /// Where.
        stack_trace: Option<String> = (None);
        /// Its tasks.
        affected_tasks: Vec<String> = (Vec::new());
        /// How often it was tried again.
        recovery_attempts: i64 = (0);
        /// Whether it may be.
        is_recoverable: bool = (true);
        /// Anything else.
        context: Object = (Object::new());
    }
}

model! {
    /// What is to be done about a failure.
    RecoveryPlan {
        /// Its id.
        plan_id: String = uuid "";
        /// Which.
        failed_instance: String = required;
        /// `restart`, `reassign`, `scale_up`, `manual`; unchecked.
        recovery_strategy: String = required;
        /// New instance by task.
        task_reassignments: Dict<String> = (Dict::default());
        /// How long it will take.
        estimated_recovery_time: TimeDelta = required;
        /// What somebody must do.
        required_actions: Vec<String> = (Vec::new());
        /// What to do if that fails too.
        rollback_plan: Option<Object> = (None);
        /// When it was made.
        created_at: Timestamp = now;
    }
}

model! {
    /// What a merge brought.
    IntegrationReport {
        /// Its id.
        report_id: String = uuid "";
        /// The branches taken together.
        integration_batch: Vec<String> = (Vec::new());
        /// Landed.
        successful_integrations: Vec<String> = (Vec::new());
        /// Refused.
        failed_integrations: Vec<String> = (Vec::new());
        /// Conflicts that are gone.
        conflicts_resolved: Vec<String> = (Vec::new());
        /// Conflicts that are left.
        conflicts_remaining: Vec<String> = (Vec::new());
        /// By gate.
        quality_gate_results: Dict<bool> = (Dict::default());
        /// How long it took.
        integration_time: TimeDelta = required;
        /// When it was made.
        created_at: Timestamp = now;
        /// For people.
        summary: String = (String::new());
    }
}

model! {
    /// What a check of an action found.
    ValidationResult {
        /// Whether it may be carried out.
        is_valid: bool = required;
        /// Why not.
        errors: Vec<String> = (Vec::new());
        /// What looks odd.
        warnings: Vec<String> = (Vec::new());
        /// What to say instead.
        suggestions: Vec<String> = (Vec::new());
    }
}

model! {
    /// What a verb and noun may be said with.
    CommandPattern {
        /// Any text.
        verb: String = required;
        /// Any text.
        noun: String = required;
        /// Modifiers that may stand with it.
        allowed_modifiers: Vec<String> = (Vec::new());
        /// Parameters that must.
        required_parameters: Vec<String> = (Vec::new());
        /// Parameters that may.
        optional_parameters: Vec<String> = (Vec::new());
        /// What it does.
        description: String = required;
        /// How it is said.
        examples: Vec<String> = (Vec::new());
    }
}

model! {
    /// One sign of health.
    HealthIndicator {
        /// What was looked at.
        name: String = required;
        /// `healthy`, `warning`, `critical`; unchecked.
        status: String = required;
        /// In words.
        message: String = required;
        /// When it was looked at.
        timestamp: Timestamp = required;
        /// The evidence.
        details: Object = (Object::new());
    }
}

model! {
    /// The health of one part.
    ModuleStatus {
        /// Which.
        module_name: String = required;
        /// Its version.
        version: String = required;
        /// `healthy`, `warning`, `critical`; unchecked.
        status: String = required;
        /// Seconds.
        uptime: f64 = required;
        /// When it last did something.
        last_activity: Timestamp = required;
        /// The signs.
        health_indicators: Vec<HealthIndicator> = required;
        /// Figures.
        performance_metrics: Object = (Object::new());
    }
}

/// Refuses a number outside its bounds.
fn within(member: &str, least: f64, most: f64, number: f64) -> Result<(), ReadError> {
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(ReadError::new(format!("{number} is not between {least} and {most}")).within(member))
}

fn swarm_config(config: &SwarmConfig) -> Result<(), ReadError> {
    within("instance_count", 1.0, 50.0, config.instance_count as f64)?;
    within("max_instances", 1.0, 100.0, config.max_instances as f64)?;
    within(
        "min_instances",
        1.0,
        config.max_instances as f64,
        config.min_instances as f64,
    )?;
    within(
        "scaling_threshold_cpu",
        10.0,
        95.0,
        config.scaling_threshold_cpu,
    )?;
    within(
        "scaling_threshold_memory",
        10.0,
        95.0,
        config.scaling_threshold_memory,
    )?;
    within(
        "health_check_interval",
        5.0,
        300.0,
        config.health_check_interval as f64,
    )?;
    within("task_timeout", 60.0, f64::MAX, config.task_timeout as f64)
}

/// Models whose members all have fixed defaults.
macro_rules! all_defaults {
    ($($model:ident)*) => { $(
        impl Default for $model {
            fn default() -> $model {
                $model::read("{}", &mut NoFill).expect("every member has a default")
            }
        }
    )* };
}

all_defaults! { ResourceLimits ProtocolConfig IntegrationStatus }
