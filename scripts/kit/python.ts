/** Programs from PyPI, in a virtual environment made once for this machine from a file that pins every package by its hash. */
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from './errors.ts'
import { exec } from './exec.ts'
import { keyOf } from './hash.ts'
import { createOnce } from './limit.ts'
import { cacheDir, root } from './paths.ts'

const once = createOnce<string>()

/**
 * The path of `program` from the packages of `requirements`, a file relative to the project's root.
 * @throws UserError where there is no Python, or PyPI does not answer.
 */
export async function pythonProgram(requirements: string, program: string, signal?: AbortSignal): Promise<string> {
  const options = { signal }
  const file = join(root, requirements)
  const version = await exec('python3', ['--version'], options).catch((thrown) => {
    throw cannot(program, 'python3 is not on the PATH', thrown)
  })
  const key = keyOf(await readFile(file, 'utf8'), version.stdout)
  const folder = await once(key, () => install(file, join(cacheDir, 'python', key), options)).catch((thrown) => {
    signal?.throwIfAborted()
    throw cannot(program, 'its packages could not be installed', thrown)
  })
  return join(folder, 'bin', program)
}

/** An environment cannot be moved once it is made, so a mark tells a whole one from one that was left half-made. */
async function install(requirements: string, folder: string, options: { signal: AbortSignal | undefined }): Promise<string> {
  const mark = join(folder, 'complete')
  if (existsSync(mark)) return folder
  await rm(folder, { recursive: true, force: true })
  await exec('python3', ['-m', 'venv', folder], options)
  const pip = ['install', '--quiet', '--disable-pip-version-check', '--no-input', '--no-deps', '--require-hashes', '-r', requirements]
  await exec(join(folder, 'bin', 'pip'), pip, options)
  await writeFile(mark, '')
  return folder
}

function cannot(program: string, why: string, cause: unknown): UserError {
  return new UserError({ what: `Cannot run ${program}`, why, next: 'Install Python 3.11 or later with venv, where PyPI answers' }, cause)
}
