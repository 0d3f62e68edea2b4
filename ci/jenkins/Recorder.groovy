// Runs a Jenkinsfile with every step replaced by a record of its call, and prints the calls as JSON.
//
// Arguments: the Jenkinsfile, and a JSON list of situations {env, params, answers}. Prints one tree
// a situation. Closures are entered, `script` and `expression` included. An `sh` that is asked for
// its status or its output answers what `answers` has for its script: {code, output}.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration

class Calls {
  Map situation
  List calls = []

  def methodMissing(String name, Object arguments) {
    List given = (arguments as Object[]).toList()
    Map call = [name: name]
    // What was made for an argument (`string(...)`, `agent()`) belongs to the call, not beside it.
    calls.removeAll { made -> given.any { holds(it, made) } }
    if (given && given.last() instanceof Closure) {
      Calls inner = new Calls(situation: situation)
      Closure body = given.pop().rehydrate(inner, inner, inner)
      body.resolveStrategy = Closure.DELEGATE_ONLY
      def value = body()
      call.body = inner.calls
      if (name == 'expression') call.value = value as boolean
    }
    call.arguments = given
    calls << call
    if (name != 'sh' || !(given[0] instanceof Map)) return call
    Map answer = situation.answers[given[0].script as String] ?: [code: 0, output: '']
    given[0].returnStatus ? answer.code : given[0].returnStdout ? answer.output : call
  }

  def propertyMissing(String name) {
    if (name == 'env') return new HashMap(situation.env)
    if (name == 'params') return new HashMap(situation.params)
    if (name == 'currentBuild') return new Build(calls: calls)
    name  // `none` in `agent none`, `agent` in `agent()`
  }

  void propertyMissing(String name, Object value) {
    calls << [name: name, arguments: [value]]
  }

  private boolean holds(value, made) {
    value.is(made) || (value instanceof Collection && value.any { holds(it, made) }) ||
      (value instanceof Map && value.values().any { holds(it, made) })
  }
}

class Build {
  List calls

  void setProperty(String name, Object value) {
    name == 'calls' ? (this.@calls = value) : calls << [name: "currentBuild.$name".toString(), arguments: [value]]
  }
}

def configuration = new CompilerConfiguration(scriptBaseClass: DelegatingScript.name)
def script = new GroovyShell(configuration).parse(new File(args[0]))
println JsonOutput.toJson(new JsonSlurper().parseText(args[1]).collect { situation ->
  Calls recorder = new Calls(situation: situation)
  script.setDelegate(recorder)
  script.run()
  recorder.calls
})
