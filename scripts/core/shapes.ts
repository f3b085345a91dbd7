/** What kind of thing an observation tells, by its shape alone: whoever only shows it need not know its source. */
import type { Observation } from './scenario.ts'

export type Shape = 'second' | 'summary' | 'message' | 'alert sample' | 'evaluation' | 'number' | 'other'

const ALERT_STATES = ['inactive', 'pending', 'firing']

/** The first that is true counts. */
const SHAPES: readonly (readonly [Shape, (value: Observation['value']) => boolean])[] = [
  ['second', ({ requests, byStatus }) => typeof requests === 'number' && byStatus !== undefined],
  ['summary', ({ requests }) => typeof requests === 'number'],
  ['message', ({ channel }) => typeof channel === 'string'],
  ['alert sample', ({ labels }) => typeof labels?.alertstate === 'string'],
  ['evaluation', ({ state }) => ALERT_STATES.includes(state)],
  ['number', ({ value }) => typeof value === 'number'],
]

/** A second or the summary of load, a message about an alert, a state of one (as sample or evaluation), a number, or something else. */
export function shapeOf({ value }: Pick<Observation, 'value'>): Shape {
  if (typeof value !== 'object' || value === null) return 'other'
  return SHAPES.find(([, has]) => has(value))?.[0] ?? 'other'
}
