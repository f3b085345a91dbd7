/** Tools that are published as images only: each runs in a container that sees one folder, read-only, and no network unless it needs one. */
import type { Digest } from '../../core/types.ts'
import { docker } from '../docker.ts'
import type { ExecResult } from '../exec.ts'
import { whyNoRegistry } from '../hub.ts'
import { pullImage } from '../pulled.ts'
import { have, Unavailable } from './gate.ts'

export interface PulledTool {
  /** Repository and tag. */
  readonly ref: string
  /** A tag can be moved to other code, as those of a scanner were in 2026. */
  readonly digest?: Digest
}

export interface PulledOptions {
  /** What it sees, under `/src`. */
  readonly root: string
  /** @default none */
  readonly network?: 'bridge'
  /** Folders of this machine that it may write, by their paths in the container: its database, for one. */
  readonly writes?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/** @throws Unavailable where no registry answers or there is no engine; ExecError where the tool breaks. */
export async function runPulled({ ref, digest }: PulledTool, args: readonly string[], options: PulledOptions): Promise<ExecResult> {
  const { root, network = 'none', writes = {}, signal } = options
  const image = digest === undefined ? ref : `${ref}@${digest}`
  await have(async () => {
    if ((await whyNoRegistry()) !== undefined) throw new Unavailable('no container registry answers')
    await pullImage(image, { signal })
  }, signal)
  const volumes = [`${root}:/src:ro`, ...Object.entries(writes).map(([inside, outside]) => `${outside}:${inside}`)]
  const run = ['run', '--rm', '--network', network, ...volumes.flatMap((each) => ['--volume', each]), '--workdir', '/src', image]
  return docker([...run, ...args], { signal })
}

/** The version that its tag names. */
export function pulledVersion({ ref }: PulledTool): string {
  return ref.slice(ref.lastIndexOf(':') + 1)
}
