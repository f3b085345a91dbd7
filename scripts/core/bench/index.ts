/** The bench: measures, the file of what was measured, and the table that is made of it. */
export * from './figures.ts'
export { copiesIn } from './growth.ts'
export { measuredTimes } from './inner-loop.ts'
export { machineClass } from './machine.ts'
export type { Bench, Bout, Measure } from './measure.ts'
export * from './results.ts'
export * from './run.ts'
export * from './table.ts'
