import subprocess, sys
def test_m(ledger, ledger_uri):
    print(subprocess.run([sys.executable,'/tmp/g_measure.py',ledger_uri],capture_output=True,text=True,cwd='/tmp/seven'))
