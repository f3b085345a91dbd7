/** Snapshots as files: one tar archive each, which says first what it is. Secrets are in them: only their owner reads them. */
import { existsSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotInfo } from '#core'
import { UserError } from '#kit/errors'
import { ensureDir, ownDir } from '#kit/paths'
import { readFirstFile } from './tarball.ts'

/** The first file of the archive. */
export const ABOUT_FILE = 'holdfast.json'

/** What a snapshot says of itself. */
export interface About extends Omit<SnapshotInfo, 'bytes'> {
  /** Names of its volumes: the folders of the archive. */
  readonly volumes: readonly string[]
  /** First of the block on 127.0.0.1. */
  readonly portsFrom: number
}

export const snapshotsDir = () => join(ownDir(), 'snapshots')
const folderOf = (cluster: string) => join(snapshotsDir(), cluster)
export const archiveOf = (cluster: string, label: string) => join(folderOf(cluster), `${label}.tar`)

/** Newest first. */
export async function listSnapshots(cluster: string): Promise<SnapshotInfo[]> {
  const files = await readdir(folderOf(cluster)).catch(() => [])
  const labels = files.flatMap((file) => /^(.+)\.tar$/.exec(file)?.[1] ?? [])
  const found = await Promise.all(labels.map(async (label) => readAbout(cluster, label)))
  return found.flat().toSorted((a, b) => b.takenAt.localeCompare(a.takenAt))
}

/** @returns whether there was one. */
export async function removeSnapshot(cluster: string, label: string): Promise<boolean> {
  const archive = archiveOf(cluster, label)
  if (!existsSync(archive)) return false
  await rm(archive)
  return true
}

/** @throws UserError where there is no such snapshot; it names those that there are. */
export async function findSnapshot(cluster: string, label: string): Promise<About & SnapshotInfo> {
  const [found] = await readAbout(cluster, label)
  if (found !== undefined) return found
  const known = (await listSnapshots(cluster)).map((each) => each.label)
  throw new UserError({
    what: `Cannot restore '${cluster}'`,
    why: `there is no snapshot '${label}' of it`,
    next: known.length === 0 ? 'Take one with npm run local:snapshot' : `Name one with --from: ${known.join(', ')}`,
  })
}

/** None where the file is not there, or is no snapshot. */
async function readAbout(cluster: string, label: string): Promise<(About & SnapshotInfo)[]> {
  const archive = archiveOf(cluster, label)
  if (!existsSync(archive)) return []
  const text = await readFirstFile(archive, ABOUT_FILE)
  return text === undefined ? [] : [{ ...(JSON.parse(text) as About), label, bytes: (await stat(archive)).size }]
}

/** Where one is packed, until it is whole. What an earlier one that was killed left there is gone. */
export async function draftFolder(cluster: string, label: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = `${archiveOf(cluster, label)}.draft`
  await rm(path, { recursive: true, force: true })
  ensureDir(path)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

// ── What fits ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** @throws UserError in one sentence that says what differs, and what to do. */
export function checkFits({ label, cluster, key, commit }: About, wanted: SnapshotInfo['key']): void {
  const differences = differencesOf(key, wanted)
  if (differences.length === 0) return
  const [first = '', ...others] = differences
  const listed = others.length === 0 ? first : `${[first, ...others.slice(0, -1)].join(', ')} and ${others.at(-1)}`
  const origin = commit === undefined ? 'Bring back what it was taken with' : `Check out ${commit.slice(0, 12)}, which it was taken with`
  throw new UserError({
    what: `Cannot restore '${cluster}' from '${label}'`,
    why: `it was taken with ${listed}`,
    next: `${origin}, or run npm run local:up and npm run local:snapshot for a new one`,
  })
}

const HASH = /^[0-9a-f]{12}$/

/** A version is named; of what only a hash is known of, that it is another one. */
function differencesOf(taken: SnapshotInfo['key'], wanted: SnapshotInfo['key']): string[] {
  const names = [...new Set([...Object.keys(wanted), ...Object.keys(taken)])].filter((name) => taken[name] !== wanted[name])
  return names.map((name) => {
    const [then, now] = [taken[name], wanted[name]]
    if (then === undefined) return `no ${name}`
    if (now === undefined) return `${name} too`
    return HASH.test(now) ? `another ${name}` : `${name} ${then} instead of ${now}`
  })
}
