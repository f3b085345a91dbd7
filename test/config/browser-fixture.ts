/** A real Chromium for one test file: the machine's own, or Debian's package. None is ever downloaded. */
import { readFile } from 'node:fs/promises'
import { type Browser, chromium } from 'playwright-core'
import { aptInstall, hasProgram, isRoot } from '#kit/debian'
import { exec } from '#kit/exec'
import { createProgress } from '#kit/progress'

/** As Debian, Ubuntu's runners and others call it. */
const PROGRAMS = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser']
const INSTALL_TIMEOUT_MS = 300_000

/** The browser's program, installed first where this is Debian and we may. @returns undefined without one */
export async function findBrowser(): Promise<string | undefined> {
  const found = await lookForBrowser()
  // Ubuntu's package of that name is a snap, which needs a daemon that containers lack.
  if (found !== undefined || !isRoot() || !(await isDebian()) || !(await hasProgram('apt-get'))) return found
  using progress = createProgress()
  await aptInstall(['chromium', 'fonts-liberation'], { progress, signal: AbortSignal.timeout(INSTALL_TIMEOUT_MS) })
  return lookForBrowser()
}

async function lookForBrowser(): Promise<string | undefined> {
  for (const program of PROGRAMS) {
    const { stdout, exitCode } = await exec('sh', ['-c', 'command -v "$0"', program], { accept: [0, 1, 127] })
    if (exitCode === 0) return stdout.trim()
  }
  return undefined
}

async function isDebian(): Promise<boolean> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return /^ID=debian$/m.test(release)
}

/** Its sandbox refuses root. */
export async function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: isRoot() ? ['--no-sandbox'] : [] })
}
