/** What the bench measures, in words, and what was promised of it on the reference machine. */

export interface Figure {
  readonly id: string
  /** A row of the table. */
  readonly what: string
  readonly unit: 'ms' | 'MiB'
  /** Absent where nothing is promised. */
  readonly budget?: Budget
}

/** The most that a share of all values may be, in the figure's unit. */
export interface Budget {
  readonly p50?: number
  readonly p95?: number
}

/** How many copies of the service's Application are there at once. */
export const COPIES = [1, 10, 50] as const
export type Copies = (typeof COPIES)[number]

const ms = (id: string, what: string, budget?: Budget): Figure => ({ id, what, unit: 'ms', ...(budget === undefined ? {} : { budget }) })
const mib = (id: string, what: string): Figure => ({ id, what, unit: 'MiB' })
const ofCopies = (copies: Copies) => (copies === 1 ? '1 more Application of the service' : `${copies} more Applications of the service`)

/** In the order of the table. */
export const FIGURES: readonly Figure[] = [
  ms('cold', 'nothing there but the packages and the engine’s program (`local:down -- --all`) → all Healthy', { p95: 1_800_000 }),
  ms('warm', 'images in the store, no cluster → all Healthy', { p95: 90_000 }),
  ms('rerun', '`local:up` on a running stack', { p95: 5_000 }),
  ms('restore', 'a snapshot, the cluster stopped → all Healthy by `local:restore`', { p95: 30_000 }),
  ms('manifest-live', 'a changed manifest is in the cluster, after `local:deploy` began', { p50: 5_000, p95: 8_000 }),
  ms('manifest-done', 'and `local:deploy` has ended'),
  ms('code-live', 'changed code gives its first answer, by image, after `local:deploy` began', { p95: 15_000 }),
  ms('code-done', 'and all its pods run, and `local:deploy` has ended'),
  ms('sync-live', 'changed code gives the answers of every pod, by `local:deploy -- --sync`', { p95: 2_000 }),
  ms('drift', 'a hand edit is reverted', { p95: 1_500 }),
  ...COPIES.flatMap((copies) => [
    ms(`growth-${copies}`, `${ofCopies(copies)} (one pod each) Healthy after their commit`),
    mib(`growth-${copies}-argocd`, `memory of Argo CD with ${copies}`),
    mib(`growth-${copies}-prometheus`, `memory of Prometheus with ${copies}`),
  ]),
]

/** @throws TypeError for one that is not known: a bug. */
export function figureOf(id: string): Figure {
  const found = FIGURES.find((figure) => figure.id === id)
  if (found === undefined) throw new TypeError(`There is no figure '${id}'`)
  return found
}
