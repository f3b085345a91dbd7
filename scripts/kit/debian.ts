/** What Debian's package tools do for us: programs for this machine, and a minimal Debian for images. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '../core/types.ts'
import { UserError } from './errors.ts'
import { exec } from './exec.ts'
import { roomyFolder } from './temporary.ts'

/** Whether a program is on the PATH. */
export async function hasProgram(name: string): Promise<boolean> {
  return (await exec('sh', ['-c', 'command -v "$0"', name], { accept: [0, 1, 127] })).exitCode === 0
}

export const isRoot = () => process.getuid?.() === 0

/** For another one to end, which may be that of a command of ours that was killed. */
const WAIT = ['-o', 'DPkg::Lock::Timeout=120']

/** Installs packages, announced as a step. Needs root. */
export async function aptInstall(packages: readonly string[], { progress, signal }: Run): Promise<void> {
  await progress.step(`Install ${packages.join(', ')} with apt-get`, async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' }
    await exec('dpkg', ['--configure', '-a'], { env, signal }) // one that was killed has left packages half way
    await exec('apt-get', ['update', '-qq', ...WAIT], { env, signal })
    await exec('apt-get', ['install', '-y', '-qq', ...WAIT, '--no-install-recommends', ...packages], { env, signal })
  })
}

/** Lays a minimal Debian into the archive `target`, from Debian's own packages, whose signatures debootstrap checks. */
export async function debootstrap(suite: string, target: string, run: Run): Promise<void> {
  if (!isRoot()) throw cannotBuild('debootstrap needs root and no container registry answers')
  if (!(await hasProgram('debootstrap'))) {
    if (!(await hasProgram('apt-get'))) throw cannotBuild('debootstrap is not installed and this system has no apt-get')
    await aptInstall(['debootstrap'], run)
  }
  await using folder = await roomyFolder('debian')
  const { path } = folder
  await exec('debootstrap', ['--variant=minbase', suite, path], { signal: run.signal })
  await rm(join(path, 'var', 'cache', 'apt', 'archives'), { recursive: true, force: true })
  await exec('tar', ['--create', '--file', target, '--directory', path, '.'], { signal: run.signal })
}

function cannotBuild(why: string): UserError {
  return new UserError({
    what: 'Cannot build the base image',
    why,
    next: 'Run this as root on Debian or Ubuntu, or where a container registry answers',
  })
}
