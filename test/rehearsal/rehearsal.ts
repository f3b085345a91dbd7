/** A rehearsal as a whole: moto, the double, the cluster behind it, and the environment in which our commands take them for AWS. */
import { dirname } from 'node:path'
import { CloudWatchLogsClient, CreateLogGroupCommand } from '@aws-sdk/client-cloudwatch-logs'
import { EC2Client } from '@aws-sdk/client-ec2'
import type { Progress } from '#kit/progress'
import { pythonProgram } from '#kit/python'
import { startMoto } from '../config/moto-fixture.ts'
import { createBehind } from './behind.ts'
import { CREDENTIALS, type Double, startDouble } from './double.ts'

/** moto's environment names it too. */
export const REGION = 'us-east-2'

/** What pins the AWS CLI. */
export const AWS_CLI = 'cloud/tools/awscli.txt'

export interface Rehearsal extends AsyncDisposable {
  readonly double: Double
  /** Of our commands. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly motoUrl: string
}

export interface RehearsalOptions {
  readonly progress: Progress
  readonly signal: AbortSignal
  /** Host and port of the registry that stands for ECR. */
  readonly registry: string
}

export async function startRehearsal({ progress, signal, registry }: RehearsalOptions): Promise<Rehearsal> {
  await using begun = new AsyncDisposableStack()
  const moto = begun.use(await progress.step('Start moto', startMoto))
  const cli = await progress.step('Make sure of the AWS CLI', () => pythonProgram(AWS_CLI, 'aws', signal))
  const client = { region: REGION, endpoint: moto.url, credentials: CREDENTIALS }
  const ec2 = new EC2Client(client)
  const logs = new CloudWatchLogsClient(client)
  const writtenBack = new Set<string>()
  let double: Double | undefined
  const tokens = async (cluster: string, host: string) => (await double?.listenForTokens(cluster, host)) ?? ''
  const behind = begun.use(createBehind({ region: REGION, ec2, tokens, progress, signal }))
  const started = begun.use(
    await startDouble({
      region: REGION,
      motoUrl: moto.url,
      registry,
      behind,
      onForwarded: async (target, body) => {
        const { logGroupName = '' } = target.endsWith('.DeleteLogGroup') ? (JSON.parse(body) as { logGroupName?: string }) : {}
        // EKS writes its last lines after the cluster has gone, and the group is back: terraform-aws-eks issues 920 and 3465.
        if (!/^\/aws\/eks\/.*\/cluster$/.test(logGroupName) || writtenBack.has(logGroupName)) return
        writtenBack.add(logGroupName)
        await logs.send(new CreateLogGroupCommand({ logGroupName }))
      },
    }),
  )
  double = started
  const held = begun.move()
  return {
    double: started,
    motoUrl: moto.url,
    env: {
      ...moto.env,
      AWS_ENDPOINT_URL: started.url,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      PATH: `${dirname(cli)}:${process.env.PATH}`,
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}
