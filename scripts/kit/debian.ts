/** What Debian's package tools do for us: programs for this machine, and a minimal Debian for images. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Run } from '../core/types.ts'
import { UserError } from './errors.ts'
import { exec } from './exec.ts'

/** Whether a program is on the PATH. */
export async function hasProgram(name: string): Promise<boolean> {
  return (await exec('sh', ['-c', 'command -v "$0"', name], { accept: [0, 1, 127] })).exitCode === 0
}

export const isRoot = () => process.getuid?.() === 0

/** Installs packages, announced as a step. Needs root. */
export async function aptInstall(packages: readonly string[], { progress, signal }: Run): Promise<void> {
  await progress.step(`Install ${packages.join(', ')} with apt-get`, async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' }
    await exec('apt-get', ['update', '-qq'], { env, signal })
    await exec('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, signal })
  })
}

/** Lays a minimal Debian into the archive `target`, from Debian's own packages, whose signatures debootstrap checks. */
export async function debootstrap(suite: string, target: string, run: Run): Promise<void> {
  if (!isRoot()) throw cannotBuild('debootstrap needs root and no container registry answers')
  if (!(await hasProgram('debootstrap'))) {
    if (!(await hasProgram('apt-get'))) throw cannotBuild('debootstrap is not installed and this system has no apt-get')
    await aptInstall(['debootstrap'], run)
  }
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-debian-'))
  try {
    await exec('debootstrap', ['--variant=minbase', suite, folder], { signal: run.signal })
    await rm(join(folder, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true })
    await exec('tar', ['--create', '--file', target, '--directory', folder, '.'], { signal: run.signal })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function cannotBuild(why: string): UserError {
  return new UserError({
    what: 'Cannot build the base image',
    why,
    next: 'Run this as root on Debian or Ubuntu, or where a container registry answers',
  })
}
