/** Reports of runs, from their records alone. */
export * from './compare.ts'
export * from './compare-page.ts'
export type { Lane } from './lane.ts'
export * from './page.ts'
export * from './reporting.ts'
export * from './results.ts'
export * from './save.ts'
export * from './timeline.ts'
