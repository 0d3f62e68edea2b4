"""What a person must know of a command besides its arguments: parts of `--help`."""

KEYS = """\
Releases are signed by a private key that only the packing agent has; hosts hold the public part and
start nothing that it did not sign. To change the key without a gap:
  1. make the next one:   bin/ci keys new --private FILE
  2. commit its .pub, run `bin/ci hosts prepare` everywhere: hosts now trust both
  3. give FILE to the build server (credential `signing-key`) in place of the old one
  4. after the next release: remove the old .pub, commit, `bin/ci hosts prepare` again
A stolen key goes the other way round: remove its .pub first. docs/keys.md tells more."""

TRY_HOSTS = """\
Each host is a container with systemd, SSH and a Docker engine of its own, as `hosts prepare` finds
one at a provider. Beside them run an engine that builds the images and a registry with TLS and a
password. A small simulated shop is written for them: configuration, inventory, keys, credentials.
The command stays in the foreground and prints what to type in another terminal: prepare, release,
look, roll back, cut a host's power. Ctrl-C ends and removes everything.

Needs Linux, root and `bin/ci services docker debian ssh registry`. Nothing of it is reached from
other machines, and an engine that runs here already is left alone."""

VERDICT = """\
With --reference it judges a pull request: the rows are those that the stage `reference` of the main
branch published, the model to beat is what the code of main makes of the same rows with the same
budget. No database and no credentials are needed. What main made lies ready, so a change that
alters neither code nor settings of the model trains nothing. Without a reference it ends with exit
code 11. The reason stands in build/<shop>/verdict.txt too."""

REHEARSE = """\
Each stage that takes an agent begins in an empty checkout of this repository, with what is not
committed yet. It gets what was stashed, the artifact store and the build's variables; around a line
also the credentials that the Jenkinsfile binds there, whose variables are taken from your
environment. Locks, limits and retries are not tried. Run `main` before `pull-request`: it publishes
what pull requests are judged on. What is deployed goes on serving.

Exit 0 SUCCESS · 10 UNSTABLE · 1 FAILURE or ABORTED; then the workspaces are kept."""

SCORECARD = """\
The 28 tests of the ML Test Score (Breck et al., 2017) and Google's MLOps levels. A point counts
when every test, stage and check that proves it exists and passed when it last ran here.
`bin/ci run`, `bin/ci check` and `bin/ci test` leave what is looked up. A test whose file changed
since then must run again. There is no number to reach. docs/scorecard.md tells more."""
