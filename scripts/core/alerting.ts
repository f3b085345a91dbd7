/** The language of alerting; what knows the rules and the receivers is a part. */
import type { Environment } from './environments.ts'
import type { Cluster, Run, TimingProfile } from './types.ts'

export interface Alerting {
  /** The alerts that the cluster's rules know. */
  list(cluster: Cluster): Promise<readonly { readonly name: string; readonly severity: string; readonly about: string }[]>
  /**
   * Fires one alert and resolves it, each time waiting for its message at the sink.
   * @throws UserError for an unknown alert; Failure when a message does not arrive.
   */
  rehearse(name: string, options: Run & { readonly cluster: Cluster }): Promise<Rehearsal>
  /** What of each objective's error budget an environment has spent of late. */
  budgets(cluster: Cluster, span: BudgetSpan): Promise<readonly ErrorBudget[]>
}

export interface BudgetSpan {
  readonly environment: Environment
  readonly timing: TimingProfile
  /** How far it looks back. */
  readonly windowMs: number
}

/** Of one objective of the service. */
export interface ErrorBudget {
  /** Such as `99.9 % not 5xx`. */
  readonly objective: string
  /** Of the requests, as the service counted them; undefined where none was counted. */
  readonly badShare: number | undefined
  /** The share that may be bad. */
  readonly allowedShare: number
  /** What the objective speaks of, on the cluster's clock. */
  readonly periodMs: number
}

export interface Rehearsal {
  readonly fired: Receipt
  readonly resolved: Receipt
}

/** A message as the channel shows it, and how long it took. */
export interface Receipt {
  readonly channel: string
  readonly title: string
  readonly text: string
  readonly afterMs: number
}
