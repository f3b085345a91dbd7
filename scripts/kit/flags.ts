/** Flags that several commands share, checked before anything is done. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { PROFILES, type Profile } from './gate/absence.ts'

export interface ClusterFlags {
  readonly name: string
}

export interface ImagesFlags {
  readonly images?: 'pull' | 'build'
}

export interface TimingsFlags {
  readonly timings?: 'json'
}

export interface UpFlags extends ClusterFlags, ImagesFlags, TimingsFlags {
  readonly portsFrom?: number
  readonly nodes?: number
  readonly offline?: boolean
}

export interface JsonFlags {
  readonly json?: boolean
}

export function withName(command: Command): Command {
  return command.option('--name <name>', 'which cluster: each has its own containers, ports and volumes', parseName, 'local')
}

export function withImages(command: Command): Command {
  return command.addOption(new Option('--images <way>', 'force how images are obtained').choices(['pull', 'build']))
}

export function withTimings(command: Command): Command {
  const timings = new Option('--timings <format>', `print on stdout how long each step took, in ms ${NOTHING_ELSE}`)
  return command.addOption(timings.choices(['json']))
}

export function withUp(command: Command): Command {
  return withTimings(withImages(withName(command)))
    .option('--ports-from <port>', 'first port of the cluster’s block on 127.0.0.1 (default 16440)', parsePort)
    .option('--nodes <n>', 'how many nodes; without it those that are there (default 1)', wholeNumber(1, 5))
    .addOption(new Option('--offline', 'of what is on this machine alone; says what is missing instead of fetching it').conflicts('images'))
}

export interface DeployFlags extends ClusterFlags, RevertFlags, TimingsFlags {
  readonly watch?: boolean
  readonly sync?: boolean
}

export function withDeploy(command: Command): Command {
  return withTimings(withRevert(withName(command)))
    .option('--watch', 'go on until Ctrl-C: deploys again whenever a file changes that Git does not ignore, a line each time')
    .addOption(
      new Option(
        '--sync',
        'go on until Ctrl-C: puts changed code of the service straight into its pods of dev. What runs then is not what an image would be: ' +
          'no build, no digest, other limits, no provenance. At the end the image that Git names runs again',
      ).conflicts('watch'),
    )
}

export interface RevertFlags {
  /** False with `--no-revert`. */
  readonly revert: boolean
}

export function withRevert(command: Command): Command {
  return command.option('--no-revert', 'leave a version that does not come to run where it is, instead of taking it back')
}

/** Of what is printed on stdout, where npm prints what it runs. */
export const NOTHING_ELSE = '(and nothing else with npm run --silent)'

export function withJson(command: Command): Command {
  return command.option('--json', `print JSON on stdout ${NOTHING_ELSE}`)
}

export interface CloudPlaceFlags extends JsonFlags {
  readonly env: string
  readonly region?: string
}

/** Which environment in the cloud, for every cloud command. */
export function withCloud(command: Command): Command {
  return withJson(command)
    .option('--env <environment>', 'which environment: dev, staging or prod', 'dev')
    .option('--region <region>', 'where in AWS (default AWS_REGION, else us-east-2)')
}

/** What an environment in the cloud is made with. */
export function withCloudPlan(command: Command): Command {
  const each = (value: string, all: readonly string[]) => [...all, value]
  return withCloud(command)
    .option('--allow-cidr <range>', 'who reaches the Kubernetes API; repeatable (default this machine’s address)', each, [])
    .option('--repo <url>', 'the repository that Argo CD reads (default the remote origin)')
    .option('--branch <branch>', 'its branch (default the one that is checked out)')
    .option('--repo-secret <name>', 'the secret of Secrets Manager with the read-only key of the repository')
    .option('--ttl <time>', 'how long dev lives, such as 12h or 3d')
    .option('--owner <name>', 'whom to ask before it is deleted: a tag (default who you are in AWS)')
    .option('--domain <name>', 'a public name, with its certificate; without one nothing is public')
    .option('--zone-id <id>', 'the hosted zone of Route 53 that holds the domain')
    .option('--timing <profile>', 'the stack’s clock: production, or local (15 times as fast, for a rehearsal)', 'production')
}

/** It becomes part of names of containers and of a Kubernetes node. */
export function parseName(text: string): string {
  if (/^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$/.test(text)) return text
  throw new InvalidArgumentError('A name has 1 to 20 lower-case letters, digits and dashes, and begins with a letter.')
}

function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1024 && port <= 65_000) return port
  throw new InvalidArgumentError('A block begins at a port between 1024 and 65000.')
}

/** A parser of whole numbers within limits, for an option's value. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
  }
}

export interface ProfileFlags {
  readonly profile?: Profile
}

/** What the gates may do without. */
export function withProfile(command: Command): Command {
  return command.addOption(
    new Option('--profile <name>', 'which tools CI may do without; refused on GitHub').choices([...PROFILES]).env('HOLDFAST_PROFILE'),
  )
}
