from deploy.databases import is_answering
from deploy.home import Home, Ports


def test_a_server_that_is_not_there_does_not_answer(home):
    assert is_answering(Home(home.settings, Ports(postgres=1))) is False
