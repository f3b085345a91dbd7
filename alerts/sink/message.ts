/** The shapes that the sink keeps and answers with. */

export const STATES = ['firing', 'resolved'] as const
export type State = (typeof STATES)[number]

/** What a notification says; `null` where it does not say it. */
export interface Notification {
  readonly channel: string | null
  /** Empty where the notification has none. */
  readonly title: string
  readonly text: string
  readonly alert: string | null
  readonly state: State | null
  readonly severity: string | null
  readonly fingerprints: readonly string[]
}

/** A notification that arrived: one per delivery, so that a duplicate shows as a second message. */
export interface Message extends Notification {
  /** Strictly increasing, also across restarts. */
  readonly id: number
  readonly receivedAtMs: number
}

export interface MessagePage {
  /** Messages of the kept history that match the filters, wherever the page begins and ends. */
  readonly total: number
  /** In the order of their ids. */
  readonly messages: readonly Message[]
}

/** Which messages: every filter that is given must match. */
export interface MessageFilter {
  /** Received at this time or later. */
  readonly since?: number
  readonly alert?: string
  readonly state?: State
}

export interface MessageQuery extends MessageFilter {
  /** Only messages after this one. */
  readonly afterId?: number
  /** At most so many: the newest, or with `afterId` the next ones. */
  readonly limit?: number
}

/** The Watchdog's life signs: `null` before the first. */
export interface HeartbeatStatus {
  readonly count: number
  readonly firstAtMs: number | null
  readonly lastAtMs: number | null
  readonly ageMs: number | null
}
