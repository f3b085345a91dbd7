/** Who holds the state's lock, with the real Terraform and its real lock: on a root without a provider, so that it takes seconds. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { pending, ready, waitFor } from '#kit/wait'
import { assert, type Body } from '../suite.ts'
import { type Account, openSmall, type SmallState, STATES } from './cloud-account.ts'

/** More than anything here takes. */
const LONG_S = 120

type Declare = (name: string, body: Body) => void

export function declareLocks(declare: Declare, account: Account): void {
  declareOwn(declare, account)
  declareOthers(declare, account)
}

async function open(state: SmallState, account: Account) {
  const { terraform, lock } = await openSmall(state, { aws: account, env: account.env })
  return { terraform, lock, [Symbol.asyncDispose]: () => terraform[Symbol.asyncDispose]() }
}

function declareOwn(declare: Declare, account: Account): void {
  declare('an apply that is interrupted keeps what it made and gives its lock back; the next one makes the rest', async () => {
    const state = await account.small('interrupted', LONG_S)
    const { child } = await applying(state, account)
    child.kill('SIGINT')
    assert.equal(await once(child, 'exit'), [130, null])
    await using here = await open(state, account)
    assert.equal(await here.terraform.stateList(), ['terraform_data.quick', 'terraform_data.slow'])
    await account.small('interrupted', 0)
    const rest = await here.terraform.plan()
    assert.is(rest.steps, 2, 'what was being made is made anew, and the other stays')
    await here.terraform.apply(rest)
    assert.ok((await here.terraform.plan()).isEmpty)
  })

  declare('Terraform goes on where the command that began it is killed, and the next one waits until it has ended', async ({ signal }) => {
    const state = await account.small('goes-on', 2)
    const { child } = await applying(state, account)
    child.kill('SIGKILL')
    await using here = await open(state, account)
    assert.is(await here.lock.abandoned({ signal, note: () => {} }), undefined)
    assert.equal(await here.terraform.stateList(), ['terraform_data.quick', 'terraform_data.slow'])
    assert.ok((await here.terraform.plan()).isEmpty)
  })

  declare('a lock that was left by a run of ours that is gone is told as ours, and exactly that one is taken away', async ({ signal }) => {
    const state = await account.small('gone', LONG_S)
    const { child, pid } = await applying(state, account)
    child.kill('SIGKILL')
    process.kill(-pid, 'SIGKILL') // and what it has started
    await using here = await open(state, account)
    const refused = await assert.rejects(here.terraform.plan(), '(apply)')
    const lock = await here.lock.abandoned({ signal, note: () => {} })
    assert.is(lock?.operation, 'apply')
    assert.match(refused.message, `${lock?.who} has the state locked since`)
    await assert.rejects(here.terraform.unlock('11111111-2222-3333-4444-555555555555'), /Cannot take the lock .* away/)
    await here.terraform.unlock(lock?.id ?? '')
    await here.lock.ended()
    await here.terraform.plan()
    assert.is(await here.lock.abandoned({ signal, note: () => {} }), undefined)
  })
}

function declareOthers(declare: Declare, account: Account): void {
  declare('a lock of anybody else is refused with one sentence, whatever is remembered here', async ({ signal }) => {
    const state = await account.small('others', 0)
    await account.plantLock(STATES, state.key, { id: '11111111-2222-3333-4444-555555555555', who: 'someone@elsewhere' })
    await writeFile(state.record, JSON.stringify({ id: 'another', pid: process.pid, started: 'before' }))
    await using here = await open(state, account)
    assert.is(await here.lock.abandoned({ signal, note: () => {} }), undefined)
    assert.not(existsSync(state.record), 'what is over is still remembered')
    const { message } = await assert.rejects(here.terraform.plan(), 'someone@elsewhere')
    assert.is(
      message,
      `Cannot plan: someone@elsewhere has the state locked since 2026-11-26 05:06:07 (plan). Wait for them; if that run is gone for good: aws s3 rm s3://${STATES}/${state.key}.tflock`,
    )
  })
}

/** An apply that has begun, in a process of its own. @returns also the number of Terraform's */
async function applying(state: SmallState, { env }: Account): Promise<{ readonly child: ChildProcess; readonly pid: number }> {
  const path = fileURLToPath(new URL('apply-alone.ts', import.meta.url))
  const child = fork(path, [JSON.stringify(state)], { env: { ...process.env, ...env } as NodeJS.ProcessEnv })
  await once(child, 'message')
  const look = async () => {
    const text = await readFile(state.record, 'utf8').catch(() => '')
    return text === '' ? pending('it is not') : ready((JSON.parse(text) as { pid: number }).pid)
  }
  return { child, pid: await waitFor('the lock to be remembered', look, { timeoutMs: 10_000, everyMs: 50 }) }
}
