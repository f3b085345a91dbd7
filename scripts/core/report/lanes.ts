/** All lanes of a round, in the order in which they are read: load, pods, alerts, delivery, all else. */
import type { Observation, RecordedEvent, Round } from '../scenario.ts'
import { historiesOf } from './histories.ts'
import type { Lane, Source } from './lane.ts'
import { loadLanes } from './load-lanes.ts'
import { objectLanes, podLanes, replicaLanes, usageLanes } from './object-lanes.ts'
import { alertLanes, blindLanes, otherLanes, valueLanes } from './observed-lanes.ts'

/** Times in milliseconds from `zeroAtMs`. */
export function lanesOf(round: Round, zeroAtMs: number): Lane[] {
  const since = (atMs: number) => atMs - zeroAtMs
  const events = round.events.toSorted((a, b) => a.atMs - b.atMs)
  const source: Source = {
    events,
    histories: historiesOf(round),
    observations: Map.groupBy(events.filter(isObservation), ({ source: name }) => name),
    startMs: since(round.startedAtMs),
    endMs: since(round.endedAtMs),
    since,
  }
  return [
    ...loadLanes(source),
    ...replicaLanes(source),
    ...podLanes(source),
    ...alertLanes(source),
    ...valueLanes(source),
    ...usageLanes(source),
    ...objectLanes(source),
    ...otherLanes(source),
    ...blindLanes(source),
  ]
}

const isObservation = (event: RecordedEvent): event is Observation => event.type === 'OBSERVED'
