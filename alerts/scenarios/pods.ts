/** Alerts about a single pod: one that crashes again and again, and one whose memory leaks. Both name it, in time. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Act,
  actSkipped,
  type Claim,
  type Context,
  containerOf,
  ENVIRONMENT,
  faultVictim,
  freshVictim,
  inSync,
  isFrom,
  loadEnds,
  loadMeasured,
  loseAtMost,
  type Observer,
  type RecordedEvent,
  restartsOf,
  rolledOut,
  type Scenario,
  type Step,
  steadyLoad,
  type TimingProfile,
  victimIn,
  victimOf,
  victimRefs,
  WORKLOAD_NAME,
  WORKLOAD_PODS,
  WORKLOAD_WATCHES,
} from '#core'
import type { KubeObject } from '#kit/kube'
import { pending, ready, waitFor } from '#kit/wait'
import { alertTiming } from '../rules.ts'
import type { Message } from '../sink/client.ts'
import { ruleWith, sinkAway } from './mutants.ts'
import { alertStates, inState, isMessage, messages, messagesOf, quiet, ruleLoaded, type Sighted, samples } from './observers.ts'

const LOAD = 'load'
const ARRIVED = 'the notification arrives'
const RESOLVED = 'the resolution arrives'
const DELIVERY_MS = 5_000
const RATE_PER_S = 10
/** Of a pod whose process has ended: until the kubelet has told it, and nobody is sent there any more. Half of all requests go there. */
const GONE_MS = 4_000
const LOST_PER_END = Math.ceil((RATE_PER_S * GONE_MS) / 1_000 / 2)

/** The message says which pod it is about. */
const namesThePod: Claim = {
  name: 'the notification names the pod',
  check(evidence) {
    const [first] = messagesOf(evidence, 'firing')
    const pod = victimOf(evidence.before)?.metadata.name ?? ''
    if (first === undefined) return { outcome: 'no data', seen: 'no notification' }
    return { outcome: `${first.title}\n${first.text}`.includes(pod) ? 'true' : 'false', seen: `${pod}: ${first.text.split('\n')[0] ?? ''}` }
  },
}

export const onceEach: Claim = {
  name: 'one notification and one resolution',
  check(evidence) {
    const [fired, resolved] = [messagesOf(evidence, 'firing').filter(isNews).length, messagesOf(evidence, 'resolved').length]
    return { outcome: fired === 1 && resolved === 1 ? 'true' : 'false', seen: `${fired} firing, ${resolved} resolved` }
  },
}

/**
 * For 15 minutes Prometheus says again each minute that the alert of another pod has ended, and Alertmanager passes on what its group had not
 * heard: the same fires, and more has ended. The same words a second time are a repetition, which counts.
 * https://github.com/prometheus/alertmanager/blob/v0.31.1/notify/notify.go (DedupStage.needsUpdate)
 */
function isNews({ fingerprints, text }: Message, index: number, all: readonly Message[]): boolean {
  const before = all[index - 1]
  return before === undefined || before.text === text || before.fingerprints.join() !== fingerprints.join()
}

const observesOf = (alert: string): Observer[] => [alertStates(alert), messages(alert)]
const steadyOf = (alert: string) => [inSync, rolledOut, quiet(alert), ruleLoaded(alert)]
/** Pending for its time, firing, at the sink. */
function untilArrived(alert: string, withinMs: number): Step[] {
  return [
    { kind: 'until', name: 'pending', timeoutMs: withinMs, matches: inState(alert, 'pending') },
    { kind: 'until', name: 'firing', timeoutMs: withinMs, matches: inState(alert, 'firing') },
    { kind: 'until', name: ARRIVED, timeoutMs: withinMs, matches: isMessage('firing') },
  ]
}

/** From the moment at which the rule is true to the message. */
function messageParts(alert: string, timing: TimingProfile) {
  const { scrapeMs, evaluationMs, forMs, groupWaitMs } = alertTiming(timing, alert)
  return { scrape: scrapeMs, evaluations: 2 * evaluationMs, for: forMs, group_wait: groupWaitMs, delivery: DELIVERY_MS }
}

// ── crash-loop-alert ────────────────────────────────────────────────────────────────────────────────────────────────

const CRASH_ALERT = 'PodCrashLooping'
const CRASHES = 4
/** Long enough for the kubelet to tell that the container has started. */
const LIVES_MS = 3_000
const STARTS_WITHIN_MS = 40_000
const crashLoad = steadyLoad('crash-loop', { forMs: 90_000, ratePerS: RATE_PER_S })
const LOOPS = 'the pod was started again and again'

const crashAgain: Act = {
  kind: 'act',
  name: 'crash a pod again and again',
  async run(context) {
    const { cluster, faults, signal } = context
    const victim = victimOf(await cluster.kube.list(WORKLOAD_PODS))
    const name = victim?.metadata.name ?? ''
    const restarts = containerOf(victim)?.restartCount ?? 0
    for (let crash = 0; crash < CRASHES; crash++) {
      await untilRunning(context, name, restarts + crash)
      await sleep(LIVES_MS, undefined, { signal })
      await faults.set(cluster, name, { forMs: 1_000, crash: true })
    }
  },
}

async function untilRunning({ cluster, signal }: Context, name: string, restarts: number): Promise<void> {
  const look = async () => {
    const container = containerOf(await cluster.kube.get({ ...WORKLOAD_PODS, name }))
    const isUp = container?.ready === true && container.restartCount >= restarts
    return isUp ? ready(undefined) : pending(`${container?.restartCount ?? 'no'} restarts, ${container?.ready ? 'ready' : 'not ready'}`)
  }
  await waitFor(`${name} to run again`, look, { timeoutMs: STARTS_WITHIN_MS, everyMs: 250, signal })
}

export const crashLoopAlert: Scenario = {
  name: 'crash-loop-alert',
  kind: 'proof',
  about: `A pod crashes ${CRASHES} times in a row: ${CRASH_ALERT} fires with its name, and ends once it runs.`,
  isExtra: true,
  asks: ['prometheus', 'sink'],
  steady: steadyOf(CRASH_ALERT),
  watches: WORKLOAD_WATCHES,
  undo: freshVictim,
  observes: observesOf(CRASH_ALERT),
  steps: (timing) => [
    { kind: 'load', name: LOAD, profile: crashLoad },
    crashAgain,
    {
      kind: 'until',
      isBite: true,
      name: LOOPS,
      timeoutMs: STARTS_WITHIN_MS,
      matches: (event, before) => (victimIn(event, before)?.restartCount ?? 0) >= restartsOf(before) + CRASHES - 1,
    },
    ...untilArrived(CRASH_ALERT, 60_000),
    { kind: 'until', name: RESOLVED, timeoutMs: 2 * alertTiming(timing, CRASH_ALERT).windowMs + 30_000, matches: isMessage('resolved') },
    loadEnds,
  ],
  claims: () => [loadMeasured(crashLoad), loseAtMost({ failed: CRASHES * LOST_PER_END, outageMs: 1_000 }), namesThePod, onceEach],
  bounds: (timing) => [
    // Usage and starts are told together, late by up to one measurement.
    {
      name: 'notification after the third restart',
      from: LOOPS,
      to: ARRIVED,
      lowerMs: alertTiming(timing, CRASH_ALERT).forMs / 2,
      partsMs: { told: timing.hpa.usageMs, ...messageParts(CRASH_ALERT, timing) },
    },
  ],
  mutants: [
    ruleWith('threshold-x10', CRASH_ALERT, (rule) => ({ ...rule, expr: rule.expr.replace('>= 3', '>= 30') })),
    sinkAway,
    actSkipped(),
  ],
  harm: {
    targets: victimRefs,
    held: `It is crashed again each time that it is ready, ${CRASHES} times.`,
    limit: { failedShare: 0.8, forMs: 10_000 },
  },
}

// ── memory-alert ────────────────────────────────────────────────────────────────────────────────────────────────────

const MEMORY_ALERT = 'HighMemoryUsage'
const WORKING_SET = 'container_memory_working_set_bytes'
/** From four fifths of its limit to all of it takes twice as long as the alert does. */
const LEAK_MIB_PER_S = 1.2
const LEAK_MS = 240_000
const leakLoad = steadyLoad('leak', { forMs: 210_000, ratePerS: RATE_PER_S })
const GROWS = 'its memory is far above what it needs'
/** A calm process needs less than half of its limit. */
const GROWN_SHARE = 0.6
const KILLED = 'its container is killed for want of memory'
const READY_AGAIN = 'it is ready again'

const grows = (event: RecordedEvent, before: readonly KubeObject[]) => {
  if (!isFrom(WORKING_SET, event)) return false
  const { labels, value } = event.value as Sighted
  const victim = victimOf(before)
  return labels.pod === victim?.metadata.name && value > GROWN_SHARE * limitBytes(victim)
}

/** As the chart writes it, in Mi. */
const limitBytes = (pod: KubeObject | undefined) =>
  Number.parseInt(pod?.spec.containers[0].resources.limits.memory ?? 'none', 10) * 1024 * 1024

const oomKill = (event: RecordedEvent, before: readonly KubeObject[]) => {
  const container = victimIn(event, before)
  const terminated = container?.lastState?.terminated
  return (container?.restartCount ?? 0) > restartsOf(before) && terminated?.reason === 'OOMKilled' ? terminated : undefined
}

/** By the clocks of who saw it: what an event shows may be older than the event. */
const firedBeforeTheKill: Claim = {
  name: 'the alert fired before the kill',
  check({ events, before }) {
    const firing = events.find(inState(MEMORY_ALERT, 'firing'))
    const kill = events.map((event) => oomKill(event, before)).find((each) => each !== undefined)
    if (firing === undefined || kill === undefined) return { outcome: 'no data', seen: 'one of both was not seen' }
    const aheadMs = Date.parse(kill.finishedAt) - firing.atMs
    return { outcome: aheadMs > 0 ? 'true' : 'false', seen: `${aheadMs} ms before it` }
  },
}

export const memoryAlert: Scenario = {
  name: 'memory-alert',
  kind: 'proof',
  about: `A pod leaks memory: ${MEMORY_ALERT} fires with its name before the kernel kills it; it is started anew, and the alert ends.`,
  isExtra: true,
  asks: ['prometheus', 'sink'],
  steady: steadyOf(MEMORY_ALERT),
  watches: WORKLOAD_WATCHES,
  undo: freshVictim,
  observes: [...observesOf(MEMORY_ALERT), samples(WORKING_SET, `${WORKING_SET}{namespace="${ENVIRONMENT}", container="${WORKLOAD_NAME}"}`)],
  steps: () => [
    { kind: 'load', name: LOAD, profile: leakLoad },
    {
      kind: 'act',
      name: 'let a pod leak',
      run: (context) => faultVictim(context, { forMs: LEAK_MS, leakMiBPerS: LEAK_MIB_PER_S }),
    },
    { kind: 'until', isBite: true, name: GROWS, timeoutMs: LEAK_MS, matches: grows },
    ...untilArrived(MEMORY_ALERT, LEAK_MS / 2),
    { kind: 'until', name: KILLED, timeoutMs: LEAK_MS, matches: (event, before) => oomKill(event, before) !== undefined },
    { kind: 'until', name: READY_AGAIN, timeoutMs: 60_000, matches: (event, before) => victimIn(event, before)?.ready === true },
    // Its end may be told before the pod is ready: the claim counts it.
    { kind: 'never', name: 'it is pending again', forMs: 15_000, matches: inState(MEMORY_ALERT, 'pending') },
    loadEnds,
  ],
  claims: () => [loadMeasured(leakLoad), loseAtMost({ failed: LOST_PER_END, outageMs: 1_000 }), namesThePod, onceEach, firedBeforeTheKill],
  bounds: (timing) => [
    {
      name: 'notification after pending',
      from: 'pending',
      to: ARRIVED,
      lowerMs: alertTiming(timing, MEMORY_ALERT).forMs,
      partsMs: messageParts(MEMORY_ALERT, timing),
    },
    {
      name: 'ready after the kill',
      from: KILLED,
      to: READY_AGAIN,
      lowerMs: 0,
      partsMs: { restart: 5_000, podStart: timing.hpa.podStartMs, probes: 5_000 },
    },
  ],
  mutants: [
    ruleWith('threshold-above-the-limit', MEMORY_ALERT, (rule) => ({ ...rule, expr: rule.expr.replace('> 0.8', '> 1.1') })),
    actSkipped(),
  ],
  harm: {
    targets: victimRefs,
    held: 'The leak is inside of the process, and goes on until that ends.',
    limit: { failedShare: 0.8, forMs: 10_000 },
  },
}
