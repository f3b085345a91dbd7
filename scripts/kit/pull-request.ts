/** Pull requests by GitHub's API: https://docs.github.com/en/rest/pulls/pulls */
import { Failure } from './errors.ts'
import { type Asking, ask } from './http.ts'

export interface PullRequest {
  readonly branch: string
  readonly base: string
  readonly title: string
  readonly body: string
}

export interface GitHub {
  /** `https://api.github.com` */
  readonly api: string
  /** `you/platform` */
  readonly repository: string
  readonly token: string
}

interface Found {
  readonly number: number
  readonly title: string
  readonly body: string | null
  readonly html_url: string
}

/** Opens one, or says anew what the one that is open for this branch is about. @returns its address */
export async function ensurePullRequest(github: GitHub, { branch, base, title, body }: PullRequest): Promise<string> {
  const [owner = ''] = github.repository.split('/')
  const query = new URLSearchParams({ state: 'open', head: `${owner}:${branch}`, base })
  const [open] = await askGitHub<Found[]>(github, `/pulls?${query}`)
  if (open?.title === title && open.body === body) return open.html_url
  const { html_url } =
    open === undefined
      ? await askGitHub<Found>(github, '/pulls', { method: 'POST', body: JSON.stringify({ head: branch, base, title, body }) })
      : await askGitHub<Found>(github, `/pulls/${open.number}`, { method: 'PATCH', body: JSON.stringify({ title, body }) })
  return html_url
}

async function askGitHub<T>({ api, repository, token }: GitHub, path: string, init: Asking = {}): Promise<T> {
  const what = 'Cannot open a pull request'
  const headers = { accept: 'application/vnd.github+json', authorization: `Bearer ${token}`, 'x-github-api-version': '2022-11-28' }
  const answer = await ask(what, `${api}/repos/${repository}${path}`, { ...init, headers, accept: 'any' })
  if (answer.ok) return (await answer.json()) as T
  const { message = '' } = (await answer.json().catch(() => ({}))) as { message?: string }
  throw new Failure({ what, why: `GitHub answered ${answer.status}: ${message}` })
}
