/** Compiles Go programs from pinned modules into a cache that every clone shares, keyed by all that goes in. */
import { existsSync } from 'node:fs'
import { access, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { GoBinary } from '../core/types.ts'
import { UserError } from './errors.ts'
import { exec } from './exec.ts'
import { hashFiles, keyOf } from './hash.ts'
import { createLimit, createOnce } from './limit.ts'
import { cacheDir, root } from './paths.ts'
import { isAlive } from './process.ts'

/** Linux on the engine's processor for images; the machine's own for tools. */
export interface GoPlatform {
  readonly os: string
  readonly arch: string
}

/** The oldest that compiles what is pinned. */
export const OLDEST_GO = '1.26'

/** One compile at a time: each uses every core by itself. */
const compiling = createLimit(1)
const once = createOnce<string>()
const goVersion = createOnce<string>()

/** The key of a program's inputs: sources, pins, flags, compiler and platform. */
export async function goKey(binary: GoBinary, platform: GoPlatform): Promise<string> {
  const folder = join(root, binary.goMod)
  const { pins } = binary
  const counts = (path: string) => isOfModule(path, folder) && (isGoSource(path) || (pins === undefined && isPin(path)))
  const inputs = [await hashFiles(folder, ['.'], counts)]
  if (pins !== undefined) inputs.push(await hashFiles(join(root, pins), ['.'], isPin))
  return keyOf(...inputs, binary.package, binary.ldflags ?? [], binary.tags ?? [], await compilerVersion(), platform)
}

/**
 * Compiles a program, unless it is in the cache, and returns its path.
 * @throws UserError where Go is missing; Error with the compiler's last lines when it fails.
 */
export async function goBuild(binary: GoBinary, platform: GoPlatform, signal?: AbortSignal): Promise<string> {
  const key = await goKey(binary, platform)
  return once(key, async () => {
    const target = targetOf(binary, key)
    const folder = dirname(target)
    if (await exists(target)) return target
    await mkdir(folder, { recursive: true })
    // A compile that is cut short must not look like a finished one; that of a killed command may still run beside ours.
    const part = `${target}.${process.pid}.part`
    await compiling(() => compile(binary, { platform, target: part, signal }))
    await rename(part, target)
    await removeParts(folder)
    return target
  })
}

const targetOf = ({ goMod }: GoBinary, key: string) => join(cacheDir, 'go', key, basename(goMod))

/** Whether a program is in the cache. @throws UserError where Go is missing */
export async function isGoBuilt(binary: GoBinary, platform: GoPlatform): Promise<boolean> {
  return exists(targetOf(binary, await goKey(binary, platform)))
}

/** Whether a module is in Go's own cache. */
export async function isModuleHere(goMod: string, module: string): Promise<boolean> {
  const { stdout } = await exec('go', ['list', '-C', join(root, goMod), '-m', '-f', '{{.Dir}}', module], { accept: [0, 1, 127] })
  return stdout.trim() !== ''
}

async function removeParts(folder: string): Promise<void> {
  const parts = (await readdir(folder)).filter((name) => !isAlive(Number(/\.(\d+)\.part$/.exec(name)?.[1] ?? process.pid)))
  await Promise.all(parts.map((name) => rm(join(folder, name), { force: true })))
}

const isGoSource = (path: string) => path.endsWith('.go') && !path.endsWith('_test.go')
const isPin = (path: string) => /(^|\/)go\.(mod|sum)$/.test(path)

/** A folder with a go.mod of its own is another module, and no input of the one around it. */
function isOfModule(path: string, module: string): boolean {
  const folder = dirname(path)
  return folder === module || (!existsSync(join(folder, 'go.mod')) && isOfModule(folder, module))
}

/**
 * Debug data that `-s -w` throws away is not made in the first place, and a compiler that lives for a second need not collect its garbage:
 * a fifth of the time (k6: 114 s, 98 s without debug data, 92 s with both). What is compiled with other flags shares nothing with it.
 */
export const COMPILE_ENV = { GOFLAGS: '-mod=readonly -buildvcs=false -gcflags=all=-dwarf=false', GOGC: '400' }

async function compile(binary: GoBinary, to: { platform: GoPlatform; target: string; signal: AbortSignal | undefined }): Promise<void> {
  const args = ['build', '-C', join(root, binary.goMod), '-trimpath', '-ldflags', ['-s', '-w', ...(binary.ldflags ?? [])].join(' ')]
  if (binary.tags !== undefined) args.push('-tags', binary.tags.join(','))
  if (binary.pins !== undefined) args.push('-modfile', join(root, binary.pins, 'go.mod')) // with the go.sum beside it
  await exec('go', [...args, '-o', to.target, binary.package], {
    env: { CGO_ENABLED: '0', GOOS: to.platform.os, GOARCH: to.platform.arch, ...COMPILE_ENV },
    signal: to.signal,
  })
}

/** The folder of a module in Go's module cache, at the version that `goMod` pins. */
export async function goModuleDir(goMod: string, module: string): Promise<string> {
  await compilerVersion()
  const args = ['list', '-C', join(root, goMod), '-m', '-f', '{{.Dir}}', module]
  const known = (await exec('go', args)).stdout.trim()
  if (known !== '') return known
  await exec('go', ['mod', 'download', '-C', join(root, goMod), module])
  return (await exec('go', args)).stdout.trim()
}

async function compilerVersion(): Promise<string> {
  return goVersion('go', async () => {
    try {
      return (await exec('go', ['env', 'GOVERSION'])).stdout.trim()
    } catch (thrown) {
      throw new UserError(
        {
          what: 'Cannot build from source',
          why: 'Go is not on the PATH',
          next: `Install Go ${OLDEST_GO}, or use --images pull where a registry answers`,
        },
        thrown,
      )
    }
  })
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
