/** Which images we pulled into the engine: they carry no label of ours, and must go with everything else. */
import { appendFile, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { docker, inspect } from './docker.ts'
import type { ExecOptions } from './exec.ts'
import { ensureDir, machineDir } from './paths.ts'

const pulledFile = (folder: string) => join(folder, 'pulled')

/** Pulls an image; one that the engine has not yet is ours from now on, also where the pull is interrupted. */
export async function pullImage(ref: string, options: ExecOptions = {}, folder = machineDir): Promise<void> {
  if ((await inspect('image', ref)) === undefined) await appendFile(pulledFile(ensureDir(folder)), `${ref}\n`, { mode: 0o600 })
  await docker(['pull', '--quiet', ref], options)
}

/** Those that the engine has still. */
export async function listPulled(folder = machineDir): Promise<string[]> {
  const refs = [...new Set((await readFile(pulledFile(folder), 'utf8').catch(() => '')).split('\n').filter(Boolean))]
  const there = await Promise.all(refs.map(async (ref) => (await inspect('image', ref)) !== undefined))
  return refs.filter((_, index) => there[index])
}

/** @returns their names */
export async function removePulled(folder = machineDir): Promise<string[]> {
  const refs = await listPulled(folder)
  if (refs.length > 0) await docker(['rmi', '--force', ...refs])
  await rm(pulledFile(folder), { force: true })
  return refs
}
