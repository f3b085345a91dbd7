/** Alerting as commands use it. Fires one alert by hand, straight at Alertmanager, and shows that it arrives and that its end does. */
import type { Alerting, Cluster, Rehearsal, Run } from '#core'
import { Failure, UserError } from '#kit/errors'
import { unknownName } from '#kit/pick'
import { type PromRuleGroup, promRules } from '#kit/prom'
import { pending, ready, waitFor } from '#kit/wait'
import { budgets } from './budget.ts'
import { type Message, type State, sinkMessages } from './sink/client.ts'

/** What holds if nobody resolves it: a killed command leaves no alert behind for longer. */
const ENDS_AFTER_MS = 300_000
const ARRIVES_WITHIN_MS = 60_000
const LONG_POLL_MS = 10_000

/** Filled in when an alert fires. */
const TEMPLATE = /(?:\{\{.*?\}\})+/g

type Rule = PromRuleGroup['rules'][number]

/** One alert's labels decide its route; ours says in a label of its own that it is a rehearsal. */
interface PostedAlert {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}

export const alerting: Alerting = {
  budgets,
  async list(cluster) {
    const byName = Map.groupBy(await alertRules(cluster), ({ name }) => name)
    return [...byName].map(([name, [first]]) => ({
      name,
      severity: first?.labels?.severity ?? 'unknown',
      about: (first?.annotations?.summary ?? '').replaceAll(TEMPLATE, '…'),
    }))
  },
  async rehearse(name, { cluster, progress, signal }) {
    const rule = await ruleNamed(cluster, name)
    const sinceMs = Date.now()
    const alert = alertOf(rule, sinceMs)
    const arrival = (state: State) => untilArrived({ cluster, signal, name, state, sinceMs })
    try {
      const fired = await progress.step(`Fire ${name}`, async () => {
        await post(cluster, alert)
        return arrival('firing')
      })
      return { fired: receipt(fired, sinceMs), resolved: await resolve() }
    } catch (thrown) {
      await post(cluster, { ...alert, endsAt: new Date().toISOString() }).catch(() => {}) // it ends by itself
      throw thrown
    }

    async function resolve(): Promise<Rehearsal['resolved']> {
      const endedAtMs = Date.now()
      return progress.step(`Resolve ${name}`, async () => {
        await post(cluster, { ...alert, endsAt: new Date(endedAtMs).toISOString() })
        return receipt(await arrival('resolved'), endedAtMs)
      })
    }
  },
}

async function alertRules(cluster: Cluster): Promise<Rule[]> {
  const groups = await promRules((path, init) => cluster.fetch('prometheus', path, init))
  return groups.flatMap(({ rules }) => rules).filter(({ type }) => type === 'alerting')
}

/** @throws UserError for a name that no rule has, and for one that never becomes a message. */
async function ruleNamed(cluster: Cluster, name: string): Promise<Rule> {
  const rules = await alertRules(cluster)
  const names = rules.map((rule) => rule.name)
  const found = rules.find((rule) => rule.name === name)
  if (found === undefined) throw unknownName(name, names, { what: `Cannot fire '${name}'`, why: 'no rule has an alert of that name' })
  if (found.labels?.severity !== 'none') return found
  const why = 'it always fires, and goes to the heartbeat instead of a channel'
  throw new UserError({ what: `Cannot fire '${name}'`, why, next: `See its age with curl ${cluster.address('sink')}/heartbeat` })
}

function alertOf({ name, labels = {}, annotations = {} }: Rule, nowMs: number): PostedAlert {
  const description = 'Fired by hand to show that alerts arrive; nothing is wrong.'
  return {
    labels: { ...labels, alertname: name, namespace: 'rehearsal', rehearsal: 'true' },
    annotations: {
      summary: `Rehearsal of ${name}`,
      description,
      ...(annotations.runbook === undefined ? {} : { runbook: annotations.runbook }),
    },
    startsAt: new Date(nowMs).toISOString(),
    endsAt: new Date(nowMs + ENDS_AFTER_MS).toISOString(),
  }
}

async function post(cluster: Cluster, alert: PostedAlert): Promise<void> {
  const response = await cluster
    .fetch('alertmanager', '/api/v2/alerts', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([alert]),
      signal: AbortSignal.timeout(10_000),
    })
    .catch((thrown) => {
      throw new Failure(
        { what: 'Cannot reach Alertmanager', why: 'it does not answer', next: 'Look at it with npm run local:status' },
        thrown,
      )
    })
  if (!response.ok)
    throw new Failure({ what: 'Cannot fire the alert', why: `Alertmanager answered ${response.status}: ${await response.text()}` })
}

interface Awaited extends Pick<Run, 'signal'> {
  readonly cluster: Cluster
  readonly name: string
  readonly state: State
  readonly sinceMs: number
}

async function untilArrived({ cluster, signal, name, state, sinceMs }: Awaited): Promise<Message> {
  const look = async () => {
    const query = { alert: name, state, since: sinceMs, afterId: 0, waitMs: LONG_POLL_MS, signal }
    const mine = (await sinkMessages(cluster, query)).messages.find(({ text, title }) => `${title}${text}`.includes('Rehearsal'))
    return mine === undefined ? pending('no message of it') : ready(mine)
  }
  return waitFor(`'${name}' to arrive ${state} at the sink`, look, { timeoutMs: ARRIVES_WITHIN_MS, signal })
}

function receipt({ title, text, channel, receivedAtMs }: Message, sinceMs: number): Rehearsal['fired'] {
  return { title, text, channel: channel ?? '', afterMs: receivedAtMs - sinceMs }
}
