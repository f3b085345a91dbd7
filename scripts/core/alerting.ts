/** The language of alerting by hand; what knows the rules and the receivers is a part. */
import type { Cluster, Run } from './types.ts'

export interface Alerting {
  /** The alerts that the cluster's rules know. */
  list(cluster: Cluster): Promise<readonly { readonly name: string; readonly severity: string; readonly about: string }[]>
  /**
   * Fires one alert and resolves it, each time waiting for its message at the sink.
   * @throws UserError for an unknown alert; Failure when a message does not arrive.
   */
  rehearse(name: string, options: Run & { readonly cluster: Cluster }): Promise<Rehearsal>
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
