/** Applies a small state in a process of its own, which a test interrupts or kills. */
import { Aws } from '../../cloud/aws.ts'
import { REGION } from '../rehearsal/rehearsal.ts'
import { openSmall, type SmallState } from './cloud-account.ts'

const INTERRUPTED = 130
const state = JSON.parse(process.argv[2] ?? '{}') as SmallState
const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
const { terraform } = await openSmall(state, { aws: new Aws(REGION), signal: stop.signal })
const tell = (text: string) => void (/^1 of 2/.test(text) && process.send?.(text))
await terraform.apply(await terraform.plan(), tell).catch(() => process.exit(INTERRUPTED))
process.disconnect()
