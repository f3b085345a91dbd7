/** The process: the image's entry point as a bundle. */
import process from 'node:process'
import { run } from './run.ts'

const code = await run({
  env: process.env,
  signals: process,
  stdout: (line) => process.stdout.write(line),
  stderr: (line) => process.stderr.write(line),
})
process.exit(code)
