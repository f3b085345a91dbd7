/** Git's hooks of this repository: the secrets, the lint and the types before a commit, every gate before a push. */
import { UserError } from '../errors.ts'
import { exec } from '../exec.ts'

const FOLDER = '.githooks'

/** Points a clone at them. @throws UserError where it uses hooks of somebody else's. */
export async function installHooks(root: string): Promise<string> {
  const { stdout } = await exec('git', ['config', '--local', '--get', 'core.hooksPath'], { cwd: root, accept: [0, 1] })
  const before = stdout.trim()
  if (before !== '' && before !== FOLDER) {
    const why = `this clone's core.hooksPath is '${before}'`
    throw new UserError({ what: 'Cannot install the hooks', why, next: `Call ${FOLDER}/pre-commit and ${FOLDER}/pre-push from there` })
  }
  await exec('git', ['config', '--local', 'core.hooksPath', FOLDER], { cwd: root })
  return `Git runs ${FOLDER}/pre-commit and ${FOLDER}/pre-push from now on; git config --unset core.hooksPath takes them off`
}
